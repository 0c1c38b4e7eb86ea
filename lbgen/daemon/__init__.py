"""What runs: the loop, a worker for each target, and what it holds back when something is refused."""
