"""Settings that a component leaves out have the catalogue's defaults, for every store."""

import pytest
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.catalogue.model import Setting
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret

REDIS = "state.redis"


def test_omitted_fields_have_their_defaults() -> None:
    given = GivenSettings(REDIS, {"redisHost": "h", "dialTimeout": None})
    assert (given.number("dialTimeout"), given.text("redisType"), given["redisPort"]) == (5.0, "node", None)
    assert (given.text("redisHost"), given.text("redisUsername"), given.is_on("enableTLS")) == ("h", "", False)


@pytest.mark.parametrize(("value", "number"), [(None, 3.0), (0, 3.0), (-1.0, 3.0), (0.5, 0.5)])
def test_a_number_that_must_be_positive(value: Setting, number: float) -> None:
    assert GivenSettings(REDIS, {"readTimeout": value}).positive_number("readTimeout") == number


def test_a_secret_stays_one() -> None:
    given = GivenSettings(REDIS, {"redisPassword": Secret("pw")})
    assert (str(given.secret("redisPassword")), given.text("redisPassword")) == ("***", "pw")
    assert not given.secret("sentinelPassword")


def test_an_old_name_and_one_without_effect_are_no_settings() -> None:
    given = GivenSettings(REDIS, {})
    for name in ("maxRetryBackoff", "poolSize", "nonsense"):
        with pytest.raises(KeyError):
            given[name]


def test_versions_of_a_type_share_their_defaults() -> None:
    given = GivenSettings("state.postgresql", {"tablePrefix": "shop_"})
    assert (given.text("tableName"), given.text("tablePrefix"), given.number("timeout")) == ("state", "shop_", 20.0)


@each_row("name", catalogue.known_names())
def test_versions_of_a_type_do_not_contradict_each_other(name: str) -> None:
    for kind in (each for each in catalogue.known_types() if each.name == name):
        known = {field.name: field.default for field in kind.fields if field.has_effect and field.stands_for is None}
        assert known.items() <= catalogue.defaults(name).items()
        assert catalogue.read_settings(kind, {})[0] == known
