"""How the charge point answers each CALL that a central system may send: OCPP 1.6 chapter 5 and the security
whitepaper. Answers only; what an answer promises is done by the charge point after it is sent."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ocpp.routing import on as _on
from ocpp.v16 import call_result
from ocpp.v16.enums import Action
from websockets.asyncio.client import ClientConnection

from simulator.link import Link
from simulator.meter import timestamp
from simulator.profiles import Profile

if TYPE_CHECKING:
    from simulator.charge_point import SimulatedChargePoint

Handler = TypeVar("Handler", bound=Callable[..., object])
on = cast("Callable[[str], Callable[[Handler], Handler]]", _on)

VENDOR_ID = "Voltuj"
TRIGGERS = {
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "StatusNotification",
}


class CentralSystemCalls(Link):
    """A link that answers on behalf of `box`."""

    def __init__(self, box: "SimulatedChargePoint", connection: ClientConnection) -> None:
        super().__init__(
            box.address.identity,
            connection,
            timeout_s=box.behaviour.answer_timeout_s,
            check_schemas=box.behaviour.check_schemas,
        )
        self.box = box

    # --- core profile -----------------------------------------------------------------------------------------------

    @on(Action.remote_start_transaction)
    def remote_start(
        self, id_tag: str, connector_id: int | None = None, charging_profile: Profile | None = None
    ) -> object:
        """Accepted means "will try" (5.11); connector 0 cannot be started."""
        connector = self.box.free_connector(connector_id, id_tag)
        if connector is None or not self.box.network.accepted.is_set():
            return call_result.RemoteStartTransaction(status="Rejected")
        if charging_profile is not None and charging_profile["charging_profile_purpose"] != "TxProfile":
            return call_result.RemoteStartTransaction(status="Rejected")
        self.then(partial(self.box.begin_session, connector, id_tag, remote=True, profile=charging_profile))
        return call_result.RemoteStartTransaction(status="Accepted")

    @on(Action.remote_stop_transaction)
    def remote_stop(self, transaction_id: int) -> object:
        session = self.box.session_of(transaction_id)
        if session is None:
            return call_result.RemoteStopTransaction(status="Rejected")
        self.then(partial(session.stop, "Remote"))
        return call_result.RemoteStopTransaction(status="Accepted")

    @on(Action.reset)
    def reset(self, type: str) -> object:  # noqa: A002 - the name of the field
        self.then(partial(self.box.reset, f"{type}Reset"))
        return call_result.Reset(status="Accepted")

    @on(Action.change_availability)
    def change_availability(self, connector_id: int, type: str) -> object:  # noqa: A002 - the name of the field
        """Scheduled where a transaction is running; connector 0 is all of them (5.2)."""
        if connector_id not in self.box.connectors and connector_id != 0:
            return call_result.ChangeAvailability(status="Rejected")
        scheduled = self.box.plan_availability(connector_id, operative=type == "Operative")
        self.then(self.box.apply_availability)
        return call_result.ChangeAvailability(status="Scheduled" if scheduled else "Accepted")

    @on(Action.unlock_connector)
    def unlock_connector(self, connector_id: int) -> object:
        """An unknown connector is NotSupported; unlocking ends a session (5.18)."""
        connector = self.box.connectors.get(connector_id)
        if connector is None:
            return call_result.UnlockConnector(status="NotSupported")
        if connector.session is not None:
            self.then(partial(connector.session.stop, "UnlockCommand"))
        return call_result.UnlockConnector(status="Unlocked")

    @on(Action.get_configuration)
    def get_configuration(self, key: list[str] | None = None) -> object:
        known, unknown = self.box.configuration.report(key)
        return call_result.GetConfiguration(configuration_key=known, unknown_key=unknown)

    @on(Action.change_configuration)
    def change_configuration(self, key: str, value: str) -> object:
        if key.lower() == "authorizationkey":
            return call_result.ChangeConfiguration(status=self._change_key(value))
        status = self.box.configuration.change(key, value)
        if status == "Accepted":
            self.then(self.box.configuration_changed)
        return call_result.ChangeConfiguration(status=status)

    def _change_key(self, value: str) -> str:
        """AuthorizationKey comes as hex of 16 to 20 bytes; the charge point reconnects with it (WP A00.FR.205)."""
        try:
            key = bytes.fromhex(value)
        except ValueError:
            return "Rejected"
        if not 16 <= len(key) <= 20:
            return "Rejected"
        self.then(partial(self.box.use_key, key))
        return "Accepted"

    @on(Action.clear_cache)
    def clear_cache(self) -> object:
        return call_result.ClearCache(status="Accepted")

    @on(Action.data_transfer)
    def data_transfer(self, vendor_id: str, message_id: str | None = None, data: str | None = None) -> object:
        """We know one vendor, ourselves, and one message: `echo` (4.3)."""
        if vendor_id != VENDOR_ID:
            return call_result.DataTransfer(status="UnknownVendorId")
        if message_id != "echo":
            return call_result.DataTransfer(status="UnknownMessageId")
        return call_result.DataTransfer(status="Accepted", data=data)

    # --- remote trigger ---------------------------------------------------------------------------------------------

    @on(Action.trigger_message)
    def trigger_message(self, requested_message: str, connector_id: int | None = None) -> object:
        return call_result.TriggerMessage(status=self._trigger(requested_message, connector_id))

    @on(Action.extended_trigger_message)
    def extended_trigger_message(self, requested_message: str, connector_id: int | None = None) -> object:
        return call_result.ExtendedTriggerMessage(status=self._trigger(requested_message, connector_id))

    def _trigger(self, message: str, connector_id: int | None) -> str:
        if message not in TRIGGERS:
            return "NotImplemented"
        if connector_id is not None and connector_id != 0 and connector_id not in self.box.connectors:
            return "Rejected"
        self.then(partial(self.box.send_triggered, message, connector_id))
        return "Accepted"

    # --- reservation ------------------------------------------------------------------------------------------------

    @on(Action.reserve_now)
    def reserve_now(
        self,
        connector_id: int,
        expiry_date: str,
        id_tag: str,
        reservation_id: int,
        parent_id_tag: str | None = None,
    ) -> object:
        status = self.box.reservations.reserve(reservation_id, connector_id, id_tag, expiry_date)
        if status == "Accepted":
            self.then(self.box.reservations_changed)
        return call_result.ReserveNow(status=status)

    @on(Action.cancel_reservation)
    def cancel_reservation(self, reservation_id: int) -> object:
        cancelled = self.box.reservations.cancel(reservation_id)
        if cancelled:
            self.then(self.box.reservations_changed)
        return call_result.CancelReservation(status="Accepted" if cancelled else "Rejected")

    # --- local authorization list -----------------------------------------------------------------------------------

    @on(Action.get_local_list_version)
    def get_local_list_version(self) -> object:
        return call_result.GetLocalListVersion(list_version=self.box.local_list.version)

    @on(Action.send_local_list)
    def send_local_list(
        self, list_version: int, update_type: str, local_authorization_list: list[Any] | None = None
    ) -> object:
        status = self.box.local_list.update(list_version, update_type, local_authorization_list or [])
        return call_result.SendLocalList(status=status)

    # --- smart charging ---------------------------------------------------------------------------------------------

    @on(Action.set_charging_profile)
    def set_charging_profile(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> object:
        connector = self.box.connectors.get(connector_id)
        if connector is None and connector_id != 0:
            return call_result.SetChargingProfile(status="Rejected")
        charging = connector is not None and connector.session is not None
        status = self.box.profiles.install(connector_id, cs_charging_profiles, charging=charging)
        return call_result.SetChargingProfile(status=status)

    @on(Action.clear_charging_profile)
    def clear_charging_profile(
        self,
        id: int | None = None,  # noqa: A002 - the name of the field
        connector_id: int | None = None,
        charging_profile_purpose: str | None = None,
        stack_level: int | None = None,
    ) -> object:
        status = self.box.profiles.clear(id, connector_id, charging_profile_purpose, stack_level)
        return call_result.ClearChargingProfile(status=status)

    @on(Action.get_composite_schedule)
    def get_composite_schedule(
        self,
        connector_id: int,
        duration: int,
        charging_rate_unit: str | None = None,
    ) -> object:
        if connector_id not in self.box.connectors and connector_id != 0:
            return call_result.GetCompositeSchedule(status="Rejected")
        now = datetime.now(UTC).replace(microsecond=0)
        return call_result.GetCompositeSchedule(
            status="Accepted",
            connector_id=connector_id,
            schedule_start=timestamp(now),
            charging_schedule=self.box.composite_schedule(connector_id, now, duration),
        )

    # --- firmware, diagnostics, logs --------------------------------------------------------------------------------

    @on(Action.get_diagnostics)
    def get_diagnostics(self, **_: object) -> object:
        self.then(partial(self.box.report_progress, "DiagnosticsStatusNotification", ["Uploading", "Uploaded"]))
        return call_result.GetDiagnostics(file_name=f"{self.box.address.identity}-diagnostics.txt"[:255])

    @on(Action.update_firmware)
    def update_firmware(self, **_: object) -> object:
        steps = ["Downloading", "Downloaded", "Installing", "Installed"]
        self.then(partial(self.box.report_progress, "FirmwareStatusNotification", steps))
        return call_result.UpdateFirmware()

    @on(Action.signed_update_firmware)
    def signed_update_firmware(self, request_id: int, firmware: dict[str, Any], **_: object) -> object:
        if not _certificate_body(firmware.get("signing_certificate", "")):
            return call_result.SignedUpdateFirmware(status="InvalidCertificate")
        steps = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]
        self.then(partial(self.box.report_progress, "SignedFirmwareStatusNotification", steps, request_id))
        return call_result.SignedUpdateFirmware(status="Accepted")

    @on(Action.get_log)
    def get_log(self, request_id: int, log_type: str, **_: object) -> object:
        self.then(partial(self.box.report_progress, "LogStatusNotification", ["Uploading", "Uploaded"], request_id))
        return call_result.GetLog(status="Accepted", filename=f"{self.box.address.identity}-{log_type}.txt"[:255])

    # --- certificates -----------------------------------------------------------------------------------------------

    @on(Action.install_certificate)
    def install_certificate(self, certificate_type: str, certificate: str) -> object:
        body = _certificate_body(certificate)
        if not body:
            return call_result.InstallCertificate(status="Rejected")
        self.box.certificates.setdefault(certificate_type, {})[_hash_data(body)["serial_number"]] = _hash_data(body)
        return call_result.InstallCertificate(status="Accepted")

    @on(Action.get_installed_certificate_ids)
    def get_installed_certificate_ids(self, certificate_type: str) -> object:
        installed = list(self.box.certificates.get(certificate_type, {}).values())
        if not installed:
            return call_result.GetInstalledCertificateIds(status="NotFound")
        return call_result.GetInstalledCertificateIds(status="Accepted", certificate_hash_data=installed)

    @on(Action.delete_certificate)
    def delete_certificate(self, certificate_hash_data: dict[str, str]) -> object:
        for installed in self.box.certificates.values():
            if installed.get(certificate_hash_data["serial_number"]) == certificate_hash_data:
                del installed[certificate_hash_data["serial_number"]]
                return call_result.DeleteCertificate(status="Accepted")
        return call_result.DeleteCertificate(status="NotFound")

    @on(Action.certificate_signed)
    def certificate_signed(self, certificate_chain: str) -> object:
        accepted = bool(_certificate_body(certificate_chain))
        return call_result.CertificateSigned(status="Accepted" if accepted else "Rejected")


def _certificate_body(pem: str) -> bytes:
    """The bytes of the first certificate in `pem`; empty where it holds none."""
    _, begin, rest = pem.partition("-----BEGIN CERTIFICATE-----")
    text, end, _ = rest.partition("-----END CERTIFICATE-----")
    if not begin or not end:
        return b""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        return b""


def _hash_data(body: bytes) -> dict[str, str]:
    """CertificateHashDataType, from the certificate's bytes as a whole: the simulator parses no ASN.1."""
    digest = hashlib.sha256(body).hexdigest()
    return {
        "hash_algorithm": "SHA256",
        "issuer_name_hash": digest,
        "issuer_key_hash": digest,
        "serial_number": digest[:20],
    }
