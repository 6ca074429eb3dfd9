"""Every backend passes the suite that is shipped for them."""

import pytest

from contract.conftest import ALL, WITHOUT_BUNDLES
from runsync.testing import EditorSuite, SourceSuite, TargetSuite


@pytest.mark.parametrize("subject", ALL, indirect=True)
class TestSource(SourceSuite):
    pass


@pytest.mark.parametrize("subject", ALL, indirect=True)
class TestTarget(TargetSuite):
    pass


@pytest.mark.parametrize("subject", WITHOUT_BUNDLES, indirect=True)
class TestEditor(EditorSuite):
    pass
