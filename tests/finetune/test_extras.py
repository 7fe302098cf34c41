from __future__ import annotations

import pytest

from dsvl2_app.errors import SettingsError
from dsvl2_app.finetune.extras import require


def test_what_is_missing_is_named_with_what_to_do():
    require("json")
    with pytest.raises(SettingsError, match="pip install no_such_package"):
        require("json", "no_such_package")
