"""What travels between the api and the gateway over Redis: message types, their encoding and the channel names.

Nothing here does I/O but `redis_client`, how both reach Redis, and neither service is imported. Fields are only ever
added, with a default (ADR 0003).
"""
