"""What comes over Redis, made durable: `python -m api.listener`, a process of its own beside the HTTP api.

It commits first and answers then (DESIGN 2); the rules of each message live in the domain folders, not here.
"""
