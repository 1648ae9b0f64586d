"""Languages by the embedded default method and by a small fastText model that the test trains."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters import language
from filters.text import TextScores
from manifests.stage import DirectContext
from tests.filters.make import documents

SENTENCES = {
    "en": "The weather was so good that they went for a walk along the river before it got dark.",
    "de": "Das Wetter war so gut, dass sie vor dem Abend noch einen Spaziergang am Fluss gemacht haben.",
    "fr": "Il faisait si beau qu'ils sont allés se promener le long de la rivière avant la nuit.",
    "es": "Hacía tan buen tiempo que se fueron a dar un paseo por la orilla del río antes de la noche.",
    "it": "Il tempo era così bello che sono andati a fare una passeggiata lungo il fiume prima della notte.",
    "pt": "O tempo estava tão bom que eles foram dar um passeio pela margem do rio antes da noite.",
    "nl": "Het weer was zo goed dat ze voor het donker nog een wandeling langs de rivier hebben gemaakt.",
    "sv": "Vädret var så bra att de gick på en promenad längs floden innan det blev mörkt ute.",
    "fi": "Sää oli niin hyvä, että he menivät kävelylle joen rantaan ennen kuin tuli pimeä.",
    "pl": "Pogoda była tak dobra, że poszli na spacer nad rzekę, zanim zrobiło się ciemno.",
    "cs": "Počasí bylo tak dobré, že se šli projít k řece, ještě než se setmělo.",
    "ro": "Vremea era atât de bună încât au mers să se plimbe pe malul râului înainte de noapte.",
    "hu": "Az idő olyan jó volt, hogy még sötétedés előtt sétálni mentek a folyó partjára.",
    "tr": "Hava o kadar güzeldi ki karanlık olmadan önce nehir boyunca yürüyüş için çıktılar.",
    "id": "Cuaca sangat baik sehingga mereka pergi untuk berjalan di tepi sungai sebelum hari menjadi gelap.",
    "vi": "Thời tiết rất đẹp nên họ đã đi dạo dọc theo bờ sông trước khi trời tối và không về sớm.",
    "ru": "Погода была такая хорошая, что они пошли гулять вдоль реки, пока ещё не стемнело.",
    "uk": "Погода була така гарна, що вони пішли гуляти вздовж річки, поки ще не стемніло.",
    "bg": "Времето беше толкова хубаво, че те отидоха на разходка край реката, преди да се стъмни.",
    "el": "Ο καιρός ήταν τόσο καλός που πήγαν βόλτα δίπλα στο ποτάμι πριν νυχτώσει.",
    "ar": "كان الطقس جميلا إلى حد أنهم ذهبوا في نزهة على ضفة النهر قبل أن يحل الظلام.",
    "fa": "هوا آن قدر خوب بود که آنها برای قدم زدن به کنار رودخانه رفتند و تا شب هم در آنجا بودند.",
    "he": "מזג האוויר היה כל כך טוב שהם יצאו לטייל לאורך הנהר לפני החושך.",
    "hi": "मौसम इतना अच्छा था कि वे अँधेरा होने से पहले नदी के किनारे टहलने गए।",
    "th": "อากาศดีมากจนพวกเขาไปเดินเล่นริมแม่น้ำก่อนมืด",
    "zh": "天气很好，他们在天黑之前沿着河边散步。",
    "ja": "天気がとても良かったので、暗くなる前に川沿いを散歩しました。",
    "ko": "날씨가 너무 좋아서 어두워지기 전에 강가를 산책했습니다.",
}


def score(*rows: list[str], **fields: Any) -> list[dict[str, Any]]:
    ((_, scores),) = TextScores(**fields)(documents(*rows))
    return scores.to_pylist()


def test_sentences_of_every_language() -> None:
    rows = score(*([s] for s in SENTENCES.values()))
    assert [row["language"] for row in rows] == list(SENTENCES)
    assert all(row["language_score"] > 0.5 for row in rows)
    assert rows[0]["language_score"] > 0.9


def test_paragraphs_vote_with_their_characters() -> None:
    english, german = SENTENCES["en"], SENTENCES["de"]
    (row,) = score([english, german, english, "Copyright Acme"])
    assert row["node_language"] == ["en", "de", "en", None]
    assert row["language"] == "en"
    # a paragraph of two words without evidence does not vote
    share = 2 * len(english) * row["node_language_score"][0] / (2 * len(english) + len(german))
    assert row["language_score"] == pytest.approx(share, abs=1e-5)


def test_an_unknown_language_is_null_and_lowers_the_score_of_the_document() -> None:
    (empty, numbers, mixed) = score([], ["12 34 56"], [SENTENCES["en"], " ".join(["blorp", "zug", "fnord"] * 20)])
    assert (empty["language"], empty["language_score"]) == (None, None)
    assert numbers["language"] is None
    assert mixed["language"] == "en"
    assert mixed["language_score"] < 0.4


def test_a_tie_is_undecided() -> None:
    (caption, page) = score(["Refer to caption"], [SENTENCES["en"], "Refer to caption seventeen please friend"])
    assert caption["language"] is None
    assert page["node_language"] == ["en", None]
    assert page["language_score"] == pytest.approx(page["node_language_score"][0])


def test_the_declared_language_of_a_page_decides_ties_alone() -> None:
    rows = documents(
        ["Refer to caption"], ["Winterlandschaft Oberbayern"], ["Winterlandschaft Oberbayern"], [SENTENCES["en"]], []
    )
    place = rows.schema.get_field_index("lang")
    with_lang = rows.set_column(place, rows.schema.field(place), pa.array(["pl", "de", None, "de", "ca"], pa.string()))
    ((_, scores),) = TextScores()(with_lang)
    assert scores["language"].to_pylist() == ["pl", "de", None, "en", "ca"]
    assert [score is None for score in scores["language_score"].to_pylist()] == [True, True, True, False, True]
    ((_, without_lang),) = TextScores()(rows)
    names = [name for name in scores.schema.names if name != "language"]
    assert scores.select(names).equals(without_lang.select(names))


def test_stop_words_are_those_of_the_language_and_null_without_a_list() -> None:
    german, korean, unknown = score([SENTENCES["de"]], [SENTENCES["ko"]], ["blorp zug fnord"])
    assert german["stop_words"] > 0.35
    assert korean["stop_words"] is None
    assert korean["node_stop_words"] == [None]
    assert unknown["stop_words"] == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    import fasttext

    folder: Path = tmp_path_factory.mktemp("model")
    train = folder / "train.txt"
    lines = [f"__label__{code} {SENTENCES[code].lower()}" for code in ("en", "de", "fi") for _ in range(60)]
    train.write_text("\n".join(lines), encoding="utf-8")
    # fastText 0.9 initialises its input matrix in ten blocks, each in its own thread. With fewer than ten threads, or a
    # size that is not a multiple of ten, a part of the matrix is not initialised. The training of a small model then
    # usually ends in NaN.
    classifier = fasttext.train_supervised(
        str(train), dim=10, epoch=40, lr=0.1, minn=2, maxn=4, bucket=2000, thread=10, verbose=0
    )
    path = folder / "tiny.bin"
    classifier.save_model(str(path))
    return str(path)


def test_fasttext(model: str) -> None:
    rows = score([SENTENCES["fi"], "123", SENTENCES["en"]], [SENTENCES["de"]], [], language_model=model)
    assert rows[0]["node_language"] == ["fi", None, "en"]
    assert [row["language"] for row in rows] == ["en", "de", None]  # the English sentence is the longer one
    assert rows[1]["language_score"] > 0.8
    assert rows[1]["stop_words"] > 0.35
    assert language.name(model) == "the fastText model tiny.bin"
    assert "offline default" in language.name(None)


def test_fasttext_announces_each_row_and_a_quarantined_row_is_null(model: str) -> None:
    class Recorder(DirectContext):
        def __call__(self, row: int, sub: int = 0) -> bool:
            rows.append(row)
            return super().__call__(row, sub)

    rows: list[int] = []
    batch = documents([SENTENCES["en"]], [SENTENCES["de"]], [SENTENCES["fi"]])
    ((_, scores),) = TextScores(language_model=model)(batch, Recorder(first=10, skip=frozenset({(11, 0)})))
    assert rows == [0, 1, 2]
    assert scores["language"].to_pylist() == ["en", None, "fi"]
    assert set(scores.slice(1, 1).to_pylist()[0].values()) == {None}


def test_a_missing_model_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"language_model `/nowhere/lid\.bin`"):
        score(["text"], language_model="/nowhere/lid.bin")


@pytest.mark.real
def test_the_default_agrees_with_another_detector_on_real_prose() -> None:
    import json

    from resiliparse.parse.lang import detect_fast

    truth = Path(__file__).resolve().parents[2].parent / "shared" / "realweb" / "truth.jsonl"
    if not truth.exists():
        pytest.skip("needs ../shared/realweb")
    texts = [row["text"] for row in map(json.loads, truth.open(encoding="utf-8")) if row.get("text")]
    rows = score(*([p for p in t.split("\n") if p.strip()] for t in texts))
    same = sum(row["language"] == detect_fast(text)[0] for row, text in zip(rows, texts, strict=True))
    assert same >= 0.95 * len(texts)
