"""A charge point in software that speaks OCPP 1.6J: for demos, tests and load. It knows nothing of the other rooms.

`simulator.charge_point.SimulatedChargePoint` is one wallbox and one asyncio task; `python -m simulator` runs one.
"""
