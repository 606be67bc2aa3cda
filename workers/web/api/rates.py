"""API: how many messages an hour leave by each channel, and slowing one down."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.pipeline import rates
from workers.web.api.shape import Answer, Done, Name, Order, Page, part
from workers.web.auth import Doer
from workers.web.kit import WebKit

router = part("rates")


class RateOut(Answer):
    """One channel's rate."""

    channel: str
    per_hour: Annotated[int | None, Field(description="What holds; null: nothing does")]
    setting: Annotated[int | None, Field(description="What BROADSHEET_SMTP_PER_HOUR says; null: nothing")]
    used: Annotated[int, Field(description="How many left within the last hour, where something holds")]
    lowered_to: int | None
    lowered_by: str | None
    lowered_at: datetime | None


class SlowDown(Order):
    """How slow."""

    per_hour: Annotated[int, Field(strict=True, ge=1, le=rates.MOST)]


@router.get("/rates", summary="How many messages an hour leave by each channel")
def list_rates(web: WebKit) -> Page[RateOut]:
    """All channels on one page."""
    with web.rt.reading() as session:
        found = rates.all_rates(web.rt, session)
    return Page(items=[RateOut(**rate.told()) for rate in found], next=None)


@router.put("/rates/{channel}", summary="Hold a channel to fewer messages an hour")
def slow_down(web: WebKit, me: Doer, channel: Name, order: SlowDown) -> Done:
    """From the next message on, for all workers, until it is restored."""
    rates.slow_down(web.rt, me, channel, order.per_hour)
    return Done(done=True, about=channel)


@router.delete("/rates/{channel}", summary="Let a channel go at its setting again")
def restore(web: WebKit, me: Doer, channel: Name) -> Done:
    """What waited for its turn goes at once. `done` is false where nobody held it."""
    return Done(done=rates.restore(web.rt, me, channel), about=channel)
