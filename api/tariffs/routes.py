"""HTTP of tariffs: an owner's tariffs with their versions, and as what the owner bills."""

from uuid import UUID

from fastapi import APIRouter

from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotFound
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.paging import Paging
from api.problems import problem_docs
from api.request import Now, Transaction
from api.tariffs import operations
from api.tariffs.bodies import (
    BillingProfile,
    BillingProfileChange,
    CreatedTariff,
    NewTariff,
    TariffChange,
    TariffPage,
    TariffSummary,
    TariffVersion,
    TariffVersionPage,
    Terms,
    describe_version,
)

router = APIRouter(prefix="/api/v1", tags=["tariffs"])


@router.post(
    "/tariffs",
    status_code=201,
    summary="Make a tariff",
    responses=problem_docs(BadRequest, InProgress, KeyReused),
)
async def create_tariff(
    *, body: NewTariff, caller: CurrentCaller, transaction: Transaction, once: Once, now: Now
) -> CreatedTariff:
    """A tariff of the caller with its first version. It holds nowhere until it is assigned."""
    if (earlier := await once.earlier(CreatedTariff)) is not None:
        return earlier
    terms = body.read()
    tariff = await operations.create(transaction, caller.user_id, body.name, now)
    version = await operations.add_version(
        transaction, tariff, terms, now, valid_from=body.valid_from, valid_until=body.valid_until
    )
    shown = TariffSummary.model_validate(tariff).model_dump()
    return await once.remember(CreatedTariff(**shown, version=describe_version(version)))


@router.get("/tariffs", summary="List tariffs", responses=problem_docs())
async def list_tariffs(caller: CurrentCaller, transaction: Transaction, paging: Paging) -> TariffPage:
    """The caller's tariffs, newest first; those that are a charge point's own too."""
    rows, cursor = await operations.list_tariffs(transaction, caller, paging)
    return TariffPage(items=[TariffSummary.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/tariffs/{tariff_id}", summary="Read a tariff", responses=problem_docs(NotFound))
async def read_tariff(tariff_id: UUID, caller: CurrentCaller, transaction: Transaction) -> TariffSummary:
    """One tariff. For its owner."""
    return TariffSummary.model_validate(await operations.find(transaction, caller, tariff_id))


@router.patch("/tariffs/{tariff_id}", summary="Rename a tariff", responses=problem_docs(BadRequest, NotFound))
async def rename_tariff(
    tariff_id: UUID, body: TariffChange, caller: CurrentCaller, transaction: Transaction
) -> TariffSummary:
    """Changes the name. Prices do not change: they get a new version."""
    await operations.find(transaction, caller, tariff_id)
    return TariffSummary.model_validate(await operations.rename(transaction, tariff_id, body.name))


@router.get("/tariffs/{tariff_id}/versions", summary="List versions", responses=problem_docs(NotFound))
async def list_tariff_versions(
    *, tariff_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging
) -> TariffVersionPage:
    """Past, present and future ones, the one that begins last first. Of those valid, the one that began last holds."""
    await operations.find(transaction, caller, tariff_id)
    rows, cursor = await operations.list_versions(transaction, tariff_id, paging)
    return TariffVersionPage(items=[describe_version(row) for row in rows], next_cursor=cursor)


@router.post(
    "/tariffs/{tariff_id}/versions",
    status_code=201,
    summary="Change the prices",
    responses=problem_docs(BadRequest, NotFound, InProgress, KeyReused),
)
async def create_tariff_version(
    *,
    tariff_id: UUID,
    body: Terms,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    now: Now,
) -> TariffVersion:
    """A version that holds from now on, or from later, wherever the tariff does. Running sessions keep theirs."""
    tariff = await operations.find(transaction, caller, tariff_id)
    if (earlier := await once.earlier(TariffVersion)) is not None:
        return earlier
    version = await operations.add_version(
        transaction, tariff, body.read(), now, valid_from=body.valid_from, valid_until=body.valid_until
    )
    return await once.remember(describe_version(version))


@router.get("/me/billing-profile", summary="Read the own billing profile", responses=problem_docs())
async def read_billing_profile(caller: CurrentCaller, transaction: Transaction) -> BillingProfile:
    """As what the caller bills: whether registered for VAT, and the VAT id."""
    profile = await operations.read_billing_profile(transaction, caller.user_id)
    if profile is None:
        return BillingProfile(is_vat_registered=False, vat_id=None)
    return BillingProfile.model_validate(profile)


@router.put(
    "/me/billing-profile",
    summary="Change the own billing profile",
    responses=problem_docs(BadRequest, Conflict),
)
async def set_billing_profile(
    body: BillingProfileChange, caller: CurrentCaller, transaction: Transaction, now: Now
) -> BillingProfile:
    """Only who is registered for VAT can make tariffs with VAT, and stays so while one of them holds."""
    profile = await operations.set_billing_profile(transaction, caller.user_id, **body.model_dump(), now=now)
    return BillingProfile.model_validate(profile)
