"""Plan 3: a mail server that answers 4xx or 5xx, stalls or hangs up, at each of eight points of the protocol.

What may become of a delivery is known for each of them: only a connection that dies between the final dot and its
answer may leave it `unknown`; a lasting refusal of the recipient or the message makes it `failed`; everything else
is sent again until it has arrived, once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from tests.faults.audit import Expected, audit
from tests.faults.ground import BEGIN, ground
from tests.faults.kill import Report
from tests.faults.world import ACTS, POINTS

TIMEOUT_S = 0.25
"""How long the service waits for the server in this plan."""

STALL_S = 0.4
"""Longer than that: a stalled server."""

ACCEPT_S, DOT_STALL_S = 1.5, 1.8
"""The same for the answer to the dot, where a good server that is slow on a busy machine would pass for a lost one."""

REFUSALS = frozenset({"mail", "rcpt", "data", "dot"})
"""Where a 5xx says that this message or recipient will never be taken. One in the middle of the message, before the
server hangs up, may be heard or not."""


def run(world: Any, *, faults: int, seed: int, ambiguity: str = "hold") -> Report:
    """Let `faults` incidents happen, spread evenly over points and acts."""
    chance = random.Random(f"{seed} smtp {ambiguity}")
    report = Report(f"SMTP, {ambiguity}")
    began = time.monotonic()
    world.begin()
    incidents = [(p, a) for p in POINTS for a in ACTS] * (faults // (len(POINTS) * len(ACTS)) + 1)
    chance.shuffle(incidents)
    incidents = incidents[:faults]
    expected: Counter[str] = Counter()
    readers = 16
    with ground(world, ambiguity=ambiguity, readers=readers, smtp_timeout_s=TIMEOUT_S, smtp_accept_s=ACCEPT_S) as here:
        while incidents:
            day = BEGIN + timedelta(days=report.rounds)
            report.rounds += 1
            world.announce(day.date(), 2)
            here.clock.turn_to(day)
            here.work()
            part, incidents = incidents[: readers - 2], incidents[readers - 2 :]
            plan = [(point, act, chance.random() < 0.5) for point, act in part]
            world.mail_plan(plan, STALL_S, DOT_STALL_S)
            here.clock.turn_to(day.replace(hour=8, minute=0, second=5))
            for _ in range(3):
                here.work()
                here.clock.advance(1200)
            left = world.mail_left()
            report.faults += len(plan) - left
            for point, act, taken in plan[: len(plan) - left]:
                expected["unknown"] += point == "dot" and act in {"stall", "close"}
                expected["left"] += point == "dot" and act in {"stall", "close"} and taken
                expected["failed"] += act == "5xx" and point in REFUSALS
                expected["perhaps"] += act == "5xx" and point == "body"
            incidents = list(part[len(plan) - left :]) + incidents
            world.heal()
        here.work()
        resend = ambiguity == "resend"
        unknown = 0 if resend else expected["unknown"]
        doubled = expected["left"] if resend else 0
        report.window = expected["unknown"]
        report.by_point = Counter(world.mail_met())
        report.findings = audit(
            here.archive,
            Expected(
                announced=world.announced(), repos=world.repos(), mails=world.mails(), readers=here.readers,
                ambiguity=ambiguity, unknown=(unknown, unknown), doubled=(doubled, doubled),
                failed=(expected["failed"], expected["failed"] + expected["perhaps"]),
            ),
        )  # fmt: skip
    report.seconds = time.monotonic() - began
    return report
