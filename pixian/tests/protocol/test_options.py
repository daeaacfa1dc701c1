from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pixian.protocol.errors import Code, Refused
from pixian.protocol.margin import Margin
from pixian.protocol.options import Alignment, Format, Options
from pixian.tests.protocol.test_margin import MARGINS

EVERY_FIELD = {
    "max_pixels": "100",
    "background.color": "#09aFfF",
    "result.crop_to_foreground": "True",
    "result.margin": "10px 2.5%",
    "result.target_size": " 1920  1080 ",
    "result.vertical_alignment": "bottom",
    "output.format": "PNG",
    "output.jpeg_quality": "1",
    "test": "true",
}
LEVELS = st.integers(0, 255)


@st.composite
def every_option(draw: st.DrawFn) -> Options:
    try:
        return draw(
            st.builds(
                Options,
                max_pixels=st.integers(100, 25_000_000),
                background_color=st.none() | st.tuples(LEVELS, LEVELS, LEVELS),
                crop_to_foreground=st.booleans(),
                margin=st.just(Margin()) | MARGINS,
                target_size=st.none() | st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
                vertical_alignment=st.sampled_from(Alignment),
                format=st.sampled_from(Format),
                jpeg_quality=st.integers(1, 100),
                test=st.booleans(),
            )
        )
    except Refused:
        assume(False)
        raise


def refusal(form: dict[str, str]) -> Refused:
    with pytest.raises(Refused) as caught:
        Options.parse(form)
    assert caught.value.status == 400
    return caught.value


def test_the_defaults_need_no_fields() -> None:
    assert Options.parse({}) == Options()
    assert Options().form() == {}


def test_every_option_is_read() -> None:
    assert Options.parse(EVERY_FIELD) == Options(
        max_pixels=100,
        background_color=(9, 175, 255),
        crop_to_foreground=True,
        margin=Margin.parse("10px 2.5% 10px 2.5%"),
        target_size=(1920, 1080),
        vertical_alignment=Alignment.BOTTOM,
        format=Format.PNG,
        jpeg_quality=1,
        test=True,
    )


@given(every_option())
def test_what_the_client_writes_the_server_reads(options: Options) -> None:
    assert Options.parse(options.form()) == options


def test_only_what_differs_is_written() -> None:
    options = Options(background_color=(255, 0, 16), target_size=(7, 8), format=Format.JPEG)
    assert options.form() == {
        "background.color": "#FF0010",
        "result.target_size": "7 8",
        "output.format": "jpeg",
    }


@pytest.mark.parametrize("text", ["true", "True", "TRUE", " true "])
def test_booleans_are_read_in_any_case(text: str) -> None:
    assert Options.parse({"test": text}).test
    assert Options.parse({"result.crop_to_foreground": text}).crop_to_foreground


def test_empty_is_absent_and_unknown_is_ignored() -> None:
    assert Options.parse(dict.fromkeys(EVERY_FIELD, " ")) == Options()
    assert Options.parse({"colour": "green", "background": "#000000"}) == Options()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("test", "yes", "true or false"),
        ("max_pixels", "99", "100 to 25000000"),
        ("max_pixels", "25000001", "100 to 25000000"),
        ("max_pixels", "1e6", "integer"),
        ("max_pixels", "٣", "integer"),
        ("background.color", "fff", "#FFFFFF"),
        ("background.color", "#fff", "#FFFFFF"),
        ("background.color", "#ffffff00", "#FFFFFF"),
        ("background.color", "#fffffg", "#FFFFFF"),
        ("background.color", "white", "#FFFFFF"),
        ("result.crop_to_foreground", "1", "true or false"),
        ("result.margin", "-1px", "without a sign"),
        ("result.margin", "5", "10px"),
        ("result.target_size", "100", "1920 1080"),
        ("result.target_size", "100x100", "1920 1080"),
        ("result.target_size", "100 100 100", "1920 1080"),
        ("result.target_size", "0 100", "1920 1080"),
        ("result.target_size", "1.5 100", "1920 1080"),
        ("result.target_size", "+1 100", "1920 1080"),
        ("result.vertical_alignment", "centre", "top, middle, bottom"),
        ("output.format", "jpg", "auto, png, jpeg, delta_png"),
        ("output.jpeg_quality", "0", "1 to 100"),
        ("output.jpeg_quality", "101", "1 to 100"),
    ],
)
def test_what_is_not_allowed_is_named(name: str, value: str, allowed: str) -> None:
    error = refusal({name: value})
    assert error.code == Code.BAD_PARAMETER
    assert all(part in error.message for part in (name, repr(value), allowed))


@pytest.mark.parametrize("size", ["5000 5001", "25000001 1", "999999999999 999999999999"])
def test_a_target_of_too_many_pixels_has_its_own_code(size: str) -> None:
    assert refusal({"result.target_size": size}).code == Code.RESULT_TOO_LARGE
    assert Options.parse({"result.target_size": "5000 5000"}).target_size == (5000, 5000)


@pytest.mark.parametrize("margin", ["50%", "0 50px", "0 0 100px", "999999999%"])
def test_a_margin_that_leaves_nothing_of_the_target_is_refused(margin: str) -> None:
    error = refusal({"result.target_size": "100 100", "result.margin": margin})
    assert (error.code, "result.margin" in error.message) == (Code.BAD_PARAMETER, True)
    assert Options.parse({"result.margin": "49px", "result.target_size": "99 99"})


@pytest.mark.parametrize(
    ("options", "output", "fill", "content_type"),
    [
        (Options(), Format.PNG, None, "image/png"),
        (Options(background_color=(1, 2, 3)), Format.JPEG, (1, 2, 3), "image/jpeg"),
        (Options(background_color=(0, 0, 0)), Format.JPEG, (0, 0, 0), "image/jpeg"),
        (Options(background_color=(1, 2, 3), format=Format.PNG), Format.PNG, (1, 2, 3), "image/png"),
        (Options(format=Format.JPEG), Format.JPEG, (255, 255, 255), "image/jpeg"),
        (Options(format=Format.DELTA_PNG), Format.DELTA_PNG, None, "image/png"),
    ],
)
def test_the_format_follows_the_colour(
    options: Options, output: Format, fill: tuple[int, int, int] | None, content_type: str
) -> None:
    assert (options.output_format, options.fill_color, options.content_type) == (output, fill, content_type)


@given(every_option())
def test_a_delta_keeps_the_frame_and_the_rest_keeps_all(options: Options) -> None:
    effective = options.effective()
    if options.format is not Format.DELTA_PNG:
        assert effective == options
    else:
        assert set(effective.form()) <= {
            "output.format",
            "max_pixels",
            "test",
            "output.jpeg_quality",
            "result.vertical_alignment",
        }


def test_a_decimal_is_written_without_an_exponent() -> None:
    margin = Margin.parse("100000000px")
    assert margin.top.value == Decimal("1E+8")
    assert Options(margin=margin).form() == {"result.margin": " ".join(["100000000px"] * 4)}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"output.format": "Delta_PNG"}, {"output.format": "delta_png"}),
        ({"output.format": " JPEG "}, {"output.format": "jpeg"}),
        ({"test": "TRUE"}, {"test": "true"}),
        ({"result.crop_to_foreground": "False"}, {"result.crop_to_foreground": "false"}),
        ({"result.vertical_alignment": "TOP"}, {"result.vertical_alignment": "top"}),
        ({"result.margin": " 5%  10PX "}, {"result.margin": "5% 10px"}),
        ({"result.target_size": "0300\t400"}, {"result.target_size": "300 400"}),
        ({"background.color": "#aabbCC"}, {"background.color": "#AABBCC"}),
        ({"max_pixels": "0100"}, {"max_pixels": "100"}),
        ({"test": " ", "backgroud.color": "#fff", "": "x"}, {}),
    ],
)
def test_fields_are_kept_as_they_were_understood(sent: dict[str, str], kept: dict[str, str]) -> None:
    assert Options.normalize(sent) == kept
    assert Options.parse(kept) == Options.parse(sent)
    assert Options.normalize(kept) == kept


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        ({}, True),
        ({"result.crop_to_foreground": "False", "result.margin": "0px"}, True),
        ({"result.margin": "0.1%"}, False),
        ({"result.target_size": "10 10"}, False),
        ({"result.crop_to_foreground": "true"}, False),
        ({"result.crop_to_foreground": "true", "output.format": "DELTA_PNG"}, True),
    ],
)
def test_a_result_that_lies_on_its_original_is_known(fields: dict[str, str], keeps: bool) -> None:
    assert Options.parse(fields).keeps_frame(1000, 1000) == keeps
