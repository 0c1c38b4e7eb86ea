"""What people and pipelines are told: lint, explain, previews, annotations."""
