"""The stacks of docker compose, built and started as an operator and a developer do. Run by `make deploy-test` only."""
