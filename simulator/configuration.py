"""The configuration keys of a simulated charge point (OCPP 1.6 chapter 9). Only the table and its rules live here."""

from dataclasses import dataclass, field

READ_ONLY = {
    "AuthorizeRemoteTxRequests": "false",
    "ChargeProfileMaxStackLevel": "10",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargingScheduleMaxPeriods": "24",
    "ConnectorPhaseRotation": "NotApplicable",
    "GetConfigurationMaxKeys": "50",
    "LocalAuthListMaxLength": "1000",
    "MaxChargingProfilesInstalled": "10",
    "NumberOfConnectors": "1",
    "ReserveConnectorZeroSupported": "true",
    "SendLocalListMaxLength": "100",
    "SupportedFeatureProfiles": (
        "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"
    ),
}
NUMBERS = {
    "ClockAlignedDataInterval": "0",
    "ConnectionTimeOut": "60",
    "HeartbeatInterval": "300",
    "MeterValueSampleInterval": "10",
    "ResetRetries": "1",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "10",
    "WebSocketPingInterval": "30",
}
SWITCHES = {
    "AllowOfflineTxForUnknownId": "true",
    "AuthorizationCacheEnabled": "false",
    "LocalAuthListEnabled": "true",
    "LocalAuthorizeOffline": "true",
    "LocalPreAuthorize": "false",
    "StopTransactionOnEVSideDisconnect": "true",
    "StopTransactionOnInvalidId": "true",
    "UnlockConnectorOnEVSideDisconnect": "true",
}
TEXTS = {
    "CpoName": "",
    "MeterValuesAlignedData": "Energy.Active.Import.Register",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage",
    "StopTxnAlignedData": "",
    "StopTxnSampledData": "Energy.Active.Import.Register",
}
LONGEST_VALUE = 500


@dataclass
class Configuration:
    """The values of one charge point; keys are case-insensitive (CiString50Type, 7.29)."""

    values: dict[str, str] = field(default_factory=lambda: {**READ_ONLY, **NUMBERS, **SWITCHES, **TEXTS})

    def number(self, key: str) -> int:
        """The value of a numeric key."""
        return int(self.values[key])

    def switch(self, key: str) -> bool:
        """The value of a boolean key."""
        return self.values[key] == "true"

    def name_of(self, key: str) -> str | None:
        """How we spell `key`, or None where we do not know it."""
        return next((name for name in self.values if name.lower() == key.lower()), None)

    def report(self, keys: list[str] | None) -> tuple[list[dict[str, object]], list[str]]:
        """The known ones among `keys` (all where none are asked for) as KeyValue, and the unknown ones (5.8)."""
        known, unknown = [], []
        for key in keys or sorted(self.values):
            name = self.name_of(key)
            if name is None:
                unknown.append(key)
            else:
                known.append({"key": name, "readonly": name in READ_ONLY, "value": self.values[name]})
        return known, unknown

    def change(self, key: str, value: str) -> str:
        """Sets a value and returns the ConfigurationStatus (5.3)."""
        name = self.name_of(key)
        if name is None:
            return "NotSupported"
        if name in READ_ONLY or not _fits(name, value):
            return "Rejected"
        self.values[name] = value.lower() if name in SWITCHES else value
        return "Accepted"


def _fits(name: str, value: str) -> bool:
    if name in NUMBERS:
        return value.isascii() and value.isdigit() and int(value) < 2**31
    if name in SWITCHES:
        return value.lower() in {"true", "false"}
    return len(value) <= LONGEST_VALUE
