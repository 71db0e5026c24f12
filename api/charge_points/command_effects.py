"""What the end of a command means for the rest of the house: which table follows from which action. Only the table.

Every effect runs in the transaction that moves the command's row; one that fails on the charge point's data changes
nothing, and the command ends all the same.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import structlog

from api.charge_points import charging_profiles, configuration, installed_certificates, jobs, local_list, reservations
from api.charge_points.certificates import certificate_answered
from api.charge_points.ended import Ended
from api.database import is_away

log = structlog.get_logger(__name__)

Effect = Callable[[asyncpg.Connection, Ended], Awaitable[None]]
EFFECTS: Final[dict[str, Effect]] = {
    "CancelReservation": reservations.cancelled,
    "CertificateSigned": certificate_answered,
    "ChangeConfiguration": configuration.changed,
    "ClearChargingProfile": charging_profiles.cleared,
    "DeleteCertificate": installed_certificates.deleted,
    "GetConfiguration": configuration.read,
    "GetDiagnostics": jobs.answered,
    "GetInstalledCertificateIds": installed_certificates.listed,
    "GetLocalListVersion": local_list.version_reported,
    "GetLog": jobs.answered,
    "ReserveNow": reservations.answered,
    "SendLocalList": local_list.sent,
    "SetChargingProfile": charging_profiles.stored,
    "SignedUpdateFirmware": jobs.answered,
    "UpdateFirmware": jobs.answered,
}
DATA_FAULTS: Final = (asyncpg.PostgresError, LookupError, TypeError, ValueError)
PASSING: Final = ("40", "55")
"""SQLSTATE classes that a second attempt cures: deadlock, lock not available."""


async def apply_effect(connection: asyncpg.Connection, ended: Ended) -> None:
    """Does what follows from the end of this command."""
    effect = EFFECTS.get(ended.action)
    if effect is None:
        return
    try:
        async with connection.transaction():
            await effect(connection, ended)
    except DATA_FAULTS as error:
        if is_away(error) or (getattr(error, "sqlstate", None) or "").startswith(PASSING):
            raise
        log.exception("an outcome has no effect", command_id=str(ended.id), action=ended.action)
