from pathlib import Path

import pytest

from engine.config import ROOT, Config
from engine.environment import ConfigError

NAMES = (
    "DATA_DIR",
    "MODELS_DIR",
    "ENGINE_MODEL",
    "ENGINE_API_ID",
    "ENGINE_API_SECRET",
    "ENGINE_CREDITS_PER_MEGAPIXEL",
    "ENGINE_QUEUE",
    "ENGINE_TIMEOUT",
    "FETCH_NETWORKS",
    "FETCH_PORTS",
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        # Set first, so that what read_env writes into the environment is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_defaults_lie_in_the_project(tmp_path: Path) -> None:
    config = Config.from_env(tmp_path / "none")

    assert (config.data_dir, config.models_dir) == (ROOT / "data", ROOT / "models")
    assert (config.model, config.microcredits_per_megapixel) == ("standard", 1_000_000)
    assert config.socket == ROOT / "data" / "engine.sock"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("ENGINE_MODEL=fast\nENGINE_CREDITS_PER_MEGAPIXEL=0.000001\nDATA_DIR=there\n")
    monkeypatch.setenv("ENGINE_MODEL", "mine")

    config = Config.from_env(env_file)

    assert (config.model, config.microcredits_per_megapixel) == ("mine", 1)
    assert config.data_dir == ROOT / "there"


def test_credentials_are_made_once_and_kept(tmp_path: Path) -> None:
    first = Config(tmp_path, tmp_path).credentials
    again = Config(tmp_path, tmp_path).credentials

    assert first == again
    assert (len(first.api_id), len(first.api_secret)) == (15, 52)
    assert (tmp_path / "engine-credentials").stat().st_mode & 0o777 == 0o600


def test_configured_credentials_leave_no_file(tmp_path: Path) -> None:
    assert Config(tmp_path, tmp_path, api_id="a", api_secret="b").credentials.api_secret == "b"
    assert not (tmp_path / "engine-credentials").exists()


def test_half_of_the_credentials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ENGINE_API_SECRET"):
        _ = Config(tmp_path, tmp_path, api_id="a").credentials


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    assert "hush" not in repr(Config(tmp_path, tmp_path, api_id="a", api_secret="hush"))


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    fits = Path("/" + "d" * 87)
    assert len(str(Config(fits, fits).socket)) == 100

    with pytest.raises(ConfigError, match=r"101 bytes.*DATA_DIR"):
        _ = Config(Path("/" + "d" * 88), fits).socket


@pytest.mark.parametrize("text", ["one", "-1", "0.0000001", "nan"])
def test_a_bad_price_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ENGINE_CREDITS_PER_MEGAPIXEL", text)

    with pytest.raises(ConfigError, match="ENGINE_CREDITS_PER_MEGAPIXEL"):
        Config.from_env(tmp_path / "none")


def test_networks_and_ports_to_fetch_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCH_NETWORKS", "10.1.0.0/16,fd00::/8")
    monkeypatch.setenv("FETCH_PORTS", "80,9000")

    config = Config.from_env(tmp_path / "none")

    assert [str(network) for network in config.fetch_networks] == ["10.1.0.0/16", "fd00::/8"]
    assert config.fetch_ports == {80, 9000}
    monkeypatch.setenv("FETCH_NETWORKS", "everything")
    with pytest.raises(ConfigError, match="FETCH_NETWORKS"):
        Config.from_env(tmp_path / "none")
