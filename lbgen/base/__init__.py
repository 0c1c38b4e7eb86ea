"""What every room may use: errors, problems, documents, logs, files that change."""
