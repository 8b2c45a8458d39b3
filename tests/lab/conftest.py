# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixture `lab` brings a lab up once per session; `story` has the whole system working in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from lab import Lab
from lab.fixtures import lab

__all__ = ["lab", "stage", "story"]

from scenario.story import Story


@pytest.fixture(scope="session")
def story(lab: Lab) -> Story:
    """Two tenants' networks over three providers, as `make lab` leaves them.

    A lab that was played with this very software is used as it is; AVPN_LAB_KEEP=1: with whatever software.
    """
    played = Story(lab)
    if not played.is_played() and "AVPN_LAB_KEEP" not in os.environ:
        played.play()
    played.restore()
    return played


@pytest.fixture
def stage(story: Story) -> Iterator[Story]:
    """The same for a test that changes something: all is brought back to the cast behind it."""
    yield story
    story.restore()
