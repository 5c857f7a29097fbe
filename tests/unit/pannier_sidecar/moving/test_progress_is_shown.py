"""A bar on a terminal, lines elsewhere."""

from io import StringIO

from pannier_sidecar.moving.progress import Progress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_is_written_for_each_tenth() -> None:
    stream = StringIO()
    progress = Progress(stream, {})
    progress.begin("copying", 100)
    for done in range(1, 101):
        progress.show(done)
    progress.end()
    lines = stream.getvalue().splitlines()
    assert lines == ["copying: 100 to go through", *(f"copying: {tenth}0 of 100" for tenth in range(1, 11))]


def test_on_a_terminal_a_bar_is_drawn_over_itself() -> None:
    stream = Terminal()
    progress = Progress(stream, {"TERM": "xterm"})
    progress.begin("copying", 4)
    progress.show(4)
    progress.end()
    assert stream.getvalue() == "\rcopying [" + "#" * 30 + "] 100%  4 of 4\n"


def test_a_separate_line_replaces_the_bar() -> None:
    stream = Terminal()
    progress = Progress(stream, {"TERM": "xterm"})
    progress.begin("copying", 4)
    progress.show(4)
    progress.say("left as it is: key 'a'")
    bar, blank, line = stream.getvalue().split("\r")[1:]
    assert (bar.startswith("copying ["), blank.strip(), line) == (True, "", "left as it is: key 'a'\n")


def test_a_dumb_terminal_gets_lines() -> None:
    stream = Terminal()
    Progress(stream, {"TERM": "dumb"}).begin("copying", 4)
    assert stream.getvalue() == "copying: 4 to go through\n"


def test_nothing_to_do_is_no_trouble() -> None:
    stream = Terminal()
    progress = Progress(stream, {})
    progress.begin("copying", 0)
    progress.show(0)
    assert "100%  0 of 0" in stream.getvalue()
