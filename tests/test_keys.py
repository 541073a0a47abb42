import pytest

from util.engines.keys import KeyPool, environment_keys, no_keys, read_keys
from util.errors import UserError

FIRST, SECOND = "sk-aaaaaaaaaaaa1111", "sk-bbbbbbbbbbbb2222"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def write(path, text, mode=0o600):
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_key_is_hidden_in_what_an_endpoint_repeats(tmp_path):
    key = read_keys(write(tmp_path / "keys", FIRST)).acquire()
    assert key.hidden_in(f"Bad key {FIRST}!") == "Bad key ...1111!"
    assert no_keys().acquire().hidden_in("nothing to hide") == "nothing to hide"


def test_a_key_file_holds_one_key_a_line_and_comments(tmp_path):
    keys = read_keys(write(tmp_path / "keys", f"# mine\n{FIRST}  # paid\n\n{SECOND}\n{FIRST}\n"))
    assert {keys.acquire().secret, keys.acquire().secret} == {FIRST, SECOND}
    assert len(keys) == 2


@pytest.mark.parametrize(
    "text",
    [
        f"OPENAI_API_KEY={FIRST}\nOPENAI_API_KEY={SECOND}\n",
        f'export OPENAI_API_KEY="{FIRST},{SECOND}"  # both',
        f"OPENAI_API_KEY = '{FIRST}'\r\n{SECOND}\r\n",
        f"WANDB_API_KEY=w-1\nOPENAI_API_KEY={FIRST}, {SECOND}\nDEBUG=1\nEMPTY=\n",
        f'$env:OPENAI_API_KEY="{FIRST}"\nset OPENAI_API_KEY={SECOND}',
        f"TOGETHER_API_KEY={FIRST}\n{SECOND}",
        f"\ufeff{FIRST}\n{SECOND}",
        f"\ufeffOPENAI_API_KEY={FIRST}\n\ufeff{SECOND}",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_key_file_may_be_an_env_file_and_carry_a_mark_of_its_encoding(tmp_path, text, encoding):
    path = tmp_path / "keys"
    path.write_bytes(text.encode(encoding))
    path.chmod(0o600)
    keys = read_keys(path)
    assert {keys.acquire().secret, keys.acquire().secret} == {FIRST, SECOND} and len(keys) == 2


@pytest.mark.parametrize("key", ["YWJjZGVmZw==", "abcdefgh=", "sk-or-v1-a=b", "a.b=="])
def test_a_key_with_an_equals_sign_stays_whole(tmp_path, key):
    assert read_keys(write(tmp_path / "keys", key)).acquire().secret == key


def test_of_several_other_variables_none_is_sent_anywhere(tmp_path):
    with pytest.raises(UserError, match="sets HF_TOKEN, WANDB_API_KEY") as refused:
        read_keys(write(tmp_path / "keys", f"WANDB_API_KEY={FIRST}\nHF_TOKEN={SECOND}"))
    assert "1111" not in str(refused.value)


def test_of_a_short_key_no_character_is_shown():
    short, long = "sk-34567890", "sk-345678901"
    pool = KeyPool([short, long])
    assert repr(pool) == "KeyPool(..., ...8901)"
    assert [str(pool.acquire()), repr(pool.acquire())] == ["Key(...)", "Key(...8901)"]


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing but words\n"])
def test_a_key_file_without_keys_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="holds no key"):
        read_keys(write(tmp_path / "keys", text))


def test_a_missing_key_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        read_keys(tmp_path / "nowhere")


def test_a_line_that_is_no_key_is_named_without_showing_it(tmp_path):
    with pytest.raises(UserError, match="line 2") as refused:
        read_keys(write(tmp_path / "keys", f"{FIRST}\nmy secret key\n"))
    assert "secret" not in str(refused.value)


def test_a_key_file_that_all_can_read_brings_a_warning(tmp_path, capsys):
    read_keys(write(tmp_path / "keys", FIRST, mode=0o644))
    assert "chmod 600" in capsys.readouterr().err


def test_a_private_key_file_brings_no_warning(tmp_path, capsys):
    read_keys(write(tmp_path / "keys", FIRST))
    assert not capsys.readouterr().err


def test_the_environment_may_hold_several_keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{FIRST}, {SECOND},")
    assert len(environment_keys()) == 2
    monkeypatch.setenv("OPENAI_API_KEY", f'"{FIRST}"')
    assert environment_keys().acquire().secret == FIRST
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    assert environment_keys() is None


def test_the_key_with_the_fewest_requests_in_flight_comes_next():
    keys = KeyPool([FIRST, SECOND])
    first, second = keys.acquire(), keys.acquire()
    keys.release(second)
    assert keys.acquire() is second
    keys.release(first)
    assert keys.acquire() is first


def test_a_resting_key_is_left_alone_until_its_time():
    clock = Clock()
    keys = KeyPool([FIRST, SECOND], clock=clock)
    first = keys.acquire()
    keys.rest(first, 5)
    second = keys.acquire()
    assert second is not first and keys.acquire() is second
    keys.rest(second, 2)
    assert keys.acquire() is None
    assert keys.wait_s() == 2
    clock.now += 5
    assert keys.acquire() is first


def test_a_shorter_rest_does_not_end_a_longer_one():
    clock = Clock()
    keys = KeyPool([FIRST], clock=clock)
    key = keys.acquire()
    keys.rest(key, 10)
    keys.rest(key, 1)
    assert keys.wait_s() == 10


def test_a_dropped_key_is_never_used_again_and_its_warning_shows_four_characters(capsys):
    keys = KeyPool([FIRST, SECOND])
    first = keys.acquire()
    keys.drop(first, "HTTP 401")
    keys.drop(first, "HTTP 401")
    assert [keys.acquire().secret for _ in range(3)] == [SECOND] * 3
    said = capsys.readouterr().err
    assert said.count("...1111") == 1 and FIRST not in said
    assert keys.reasons == ["HTTP 401"]


def test_without_any_key_left_there_is_nothing_to_wait_for():
    keys = KeyPool([FIRST])
    keys.drop(keys.acquire(), "no quota")
    assert len(keys) == 0 and keys.acquire() is None and keys.wait_s() is None


@pytest.mark.parametrize("secret", [FIRST, "short"])
def test_a_key_never_shows_itself(secret):
    keys = KeyPool([secret])
    key = keys.acquire()
    shown = f"{keys} {keys!r} {key} {key!r} {vars(keys)['_keys']}"
    assert secret not in shown


def test_endpoints_without_keys_are_asked_without_any():
    keys = no_keys()
    assert keys.acquire().secret == "" and keys.anonymous
    assert not KeyPool([FIRST]).anonymous
