"""Pictures take matplotlib, an extra."""

import pytest

pytest.importorskip("matplotlib")
