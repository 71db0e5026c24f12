"""What our mails say, in Czech and English. Plain text, with nothing in it that a stranger could have typed.

Only mails about sharing, and notices, name people and places, and only as `plain` leaves them: else they would carry
anybody's message.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "verify", "registered_already", "reset", "change_email", "email_changed", "password_changed",
    "invitation", "grant", "handover", "security", "held", "payout", "top_up", "receipt",
]  # fmt: skip
LANGUAGES: Final = ("en", "cs")
LONGEST_NAME: Final = 40
NOT_IN_NAMES: Final = re.compile(r"[^\w '-]|_")
"""Without dots, colons, slashes and ats there are no links and no addresses."""


@dataclass(frozen=True, slots=True)
class Text:
    """A mail before its values are filled in."""

    subject: str
    body: str

    def fill(self, values: dict[str, str]) -> "Text":
        """Raises KeyError where a value is missing."""
        return Text(self.subject, self.body.format(**values))


def plain(name: str) -> str:
    """A name that a person chose, as a mail may show it: letters, digits, spaces, hyphens and apostrophes."""
    return " ".join(NOT_IN_NAMES.sub(" ", name).split())[:LONGEST_NAME].strip() or "?"


_GREETING: Final = {"en": "Hello,\n\n", "cs": "Dobrý den,\n\n"}
_ENDING: Final = {
    "en": "\n\nThis mail was sent by Voltuj. Nobody reads answers to it.\n",
    "cs": "\n\nTento e-mail poslal systém Voltuj. Odpovědi na něj nikdo nečte.\n",
}
_LINK: Final = {
    "en": "    {link}\n\nor give this code to the app:\n\n    {code}\n\nIt can be used once, within {hours} hours. ",
    "cs": "    {link}\n\nnebo zadejte v aplikaci tento kód:\n\n    {code}\n\nPlatí jednou, nejdéle {hours} h. ",
}
_SWITCH: Final = {
    "en": "Which notices you get is said in your account.",
    "cs": "Jaká upozornění dostáváte, určíte ve svém účtu.",
}
_TEXTS: Final[dict[Kind, dict[str, Text]]] = {
    "verify": {
        "en": Text(
            "Voltuj: confirm your e-mail address",
            "somebody, probably you, registered with this address. To finish, open\n\n"
            + _LINK["en"]
            + "If it was not you, do nothing: no account is made.",
        ),
        "cs": Text(
            "Voltuj: potvrďte svou e-mailovou adresu",
            "někdo, nejspíš vy, se registroval s touto adresou. Registraci dokončíte na\n\n"
            + _LINK["cs"]
            + "Pokud jste to nebyli vy, nedělejte nic: žádný účet nevznikne.",
        ),
    },
    "registered_already": {
        "en": Text(
            "Voltuj: you have an account already",
            "somebody, probably you, wanted to register with this address, which has an account already. Just log in; "
            "if the password is lost, ask for a new one. If it was not you, do nothing: nothing was changed.",
        ),
        "cs": Text(
            "Voltuj: účet už máte",
            "někdo, nejspíš vy, se chtěl registrovat s touto adresou, která už účet má. Stačí se přihlásit; pokud jste "
            "heslo zapomněli, požádejte o nové. Pokud jste to nebyli vy, nedělejte nic: nic se nezměnilo.",
        ),
    },
    "reset": {
        "en": Text(
            "Voltuj: a new password",
            "somebody, probably you, asked for a new password. To choose one, open\n\n"
            + _LINK["en"]
            + "If it was not you, do nothing: the password stays.",
        ),
        "cs": Text(
            "Voltuj: nové heslo",
            "někdo, nejspíš vy, požádal o nové heslo. Zvolíte si ho na\n\n"
            + _LINK["cs"]
            + "Pokud jste to nebyli vy, nedělejte nic: heslo zůstane.",
        ),
    },
    "change_email": {
        "en": Text(
            "Voltuj: confirm your new e-mail address",
            "this address is to become the one of an account here. To confirm, open\n\n"
            + _LINK["en"]
            + "If you know nothing of it, do nothing: nothing is changed.",
        ),
        "cs": Text(
            "Voltuj: potvrďte svou novou e-mailovou adresu",
            "tato adresa se má stát adresou účtu u nás. Potvrdíte to na\n\n"
            + _LINK["cs"]
            + "Pokud o ničem nevíte, nedělejte nic: nic se nezmění.",
        ),
    },
    "email_changed": {
        "en": Text(
            "Voltuj: your e-mail address was changed",
            "your account has another e-mail address from now on; this one does not log in any more. If it was not "
            "you, write to the operator of this installation at once.",
        ),
        "cs": Text(
            "Voltuj: vaše e-mailová adresa byla změněna",
            "váš účet má odteď jinou e-mailovou adresu; touto se už nepřihlásíte. Pokud jste to nebyli vy, ihned "
            "napište provozovateli.",
        ),
    },
    "password_changed": {
        "en": Text(
            "Voltuj: your password was changed",
            "the password of your account was changed, and other devices were logged out. If it was not you, ask for "
            "a new password at once.",
        ),
        "cs": Text(
            "Voltuj: vaše heslo bylo změněno",
            "heslo vašeho účtu bylo změněno a ostatní zařízení byla odhlášena. Pokud jste to nebyli vy, ihned "
            "požádejte o nové heslo.",
        ),
    },
    "invitation": {
        "en": Text(
            "Voltuj: you may charge an electric car",
            "{inviter} wants to let you charge at this place: {place}. To accept, register with this address:\n\n"
            "    {link}\n\nIf you do not know who this is, do nothing.",
        ),
        "cs": Text(
            "Voltuj: můžete nabíjet elektromobil",
            "{inviter} vás chce nechat nabíjet na tomto místě: {place}. Pokud chcete, zaregistrujte se s touto "
            "adresou:\n\n    {link}\n\nPokud nevíte, kdo to je, nedělejte nic.",
        ),
    },
    "grant": {
        "en": Text(
            "Voltuj: you may charge at another place",
            "{inviter} lets you charge at this place: {place}. The terms are in your account:\n\n    {link}\n\n"
            "Such mails can be switched off there.",
        ),
        "cs": Text(
            "Voltuj: můžete nabíjet na dalším místě",
            "{inviter} vás nechá nabíjet na tomto místě: {place}. Podmínky najdete ve svém účtu:\n\n    {link}\n\n"
            "Tyto zprávy tam lze vypnout.",
        ),
    },
    "handover": {
        "en": Text(
            "Voltuj: a wallbox is offered to you",
            "{inviter} wants to hand this wallbox over to you: {place}. To accept or decline within {days} days, log "
            "in or register with this address:\n\n    {link}\n\nIf you know nothing of it, do nothing.",
        ),
        "cs": Text(
            "Voltuj: někdo vám předává wallbox",
            "{inviter} vám chce předat tento wallbox: {place}. Přijmout nebo odmítnout ho můžete do {days} dnů; "
            "přihlaste se nebo zaregistrujte s touto adresou:\n\n    {link}\n\nPokud o tom nevíte, nedělejte nic.",
        ),
    },
    "security": {
        "en": Text(
            "Voltuj: a security event of your wallbox",
            "your wallbox {place} reported a critical security event. Your account shows which. " + _SWITCH["en"],
        ),
        "cs": Text(
            "Voltuj: bezpečnostní událost vašeho wallboxu",
            "váš wallbox {place} nahlásil kritickou bezpečnostní událost. Podrobnosti jsou ve vašem účtu. "
            + _SWITCH["cs"],
        ),
    },
    "held": {
        "en": Text(
            "Voltuj: a session waits for you",
            "a session at your wallbox {place} is not billed before a person has looked at it. Your account shows why. "
            + _SWITCH["en"],
        ),
        "cs": Text(
            "Voltuj: nabíjení čeká na vaše rozhodnutí",
            "nabíjení u vašeho wallboxu {place} nebude vyúčtováno, dokud ho někdo neposoudí. Důvod je ve vašem účtu. "
            + _SWITCH["cs"],
        ),
    },
    "payout": {
        "en": Text("Voltuj: money was sent to you", "{amount} were sent to your bank account. " + _SWITCH["en"]),
        "cs": Text("Voltuj: poslali jsme vám peníze", "na váš účet jsme poslali {amount}. " + _SWITCH["cs"]),
    },
    "top_up": {
        "en": Text("Voltuj: your payment arrived", "{amount} arrived; you can charge with them. " + _SWITCH["en"]),
        "cs": Text("Voltuj: vaše platba dorazila", "dorazilo {amount}; můžete za ně nabíjet. " + _SWITCH["cs"]),
    },
    "receipt": {
        "en": Text(
            "Voltuj: a receipt for you",
            "your session at {place} is billed; its receipt is in your account. " + _SWITCH["en"],
        ),
        "cs": Text(
            "Voltuj: účtenka pro vás",
            "vaše nabíjení na místě {place} je vyúčtováno; účtenka je ve vašem účtu. " + _SWITCH["cs"],
        ),
    },
}


def compose(kind: Kind, language: str, **values: str) -> Text:
    """The mail in the person's language, English where we do not speak it.

    Raises:
        KeyError: a value that the text needs is missing.
    """
    spoken = language[:2] if language[:2] in LANGUAGES else "en"
    text = _TEXTS[kind][spoken].fill(values)
    return Text(text.subject, _GREETING[spoken] + text.body + _ENDING[spoken])
