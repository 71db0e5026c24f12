"""The certification cases of OCPP 1.6 for a central system, each a charge point program at the real stack."""
