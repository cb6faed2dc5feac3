"""The pictures: what is drawn, safe names, colours that can be told apart, equal bytes, few bytes."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from scribe_cli.run.figures import style
from scribe_cli.run.figures.capture import capture
from scribe_cli.run.figures.cell_totals import cell_totals
from scribe_cli.run.figures.chains import chains
from scribe_cli.run.figures.encode import encode, save
from scribe_cli.run.figures.genes import GeneStatistic
from scribe_cli.run.figures.histogram import Bands, histogram
from scribe_cli.run.figures.loss import loss
from scribe_cli.run.figures.mean_variance import mean_variance
from scribe_cli.run.figures.p_values import p_values
from scribe_cli.run.figures.zero_fraction import zero_fraction

RNG = np.random.default_rng(0)
MEANS = np.geomspace(0.01, 100, 50)


def statistic(n: int = 50) -> GeneStatistic:
    mean = np.geomspace(0.01, 100, n)
    return GeneStatistic(mean, mean * (1 + mean / 5), mean * (1 + mean / 4), np.arange(n) % 5 == 0)


def bands(largest: int = 20) -> Bands:
    first = np.arange(largest + 1)
    cells = 100 * 0.7**first
    return Bands(first, first, np.round(cells), cells, 0.8 * cells, 1.2 * cells + 1)


PICTURES = {
    "mean_variance": lambda: mean_variance(statistic()),
    "zero_fraction": lambda: zero_fraction(GeneStatistic(MEANS, np.exp(-MEANS), np.exp(-MEANS), MEANS > 10)),
    "capture": lambda: capture(MEANS * 100, MEANS / 200, MEANS / 150, MEANS / 100),
    "cell_totals": lambda: cell_totals(MEANS * 100, MEANS * 80, MEANS * 120),
    "chains": lambda: chains(RNG.normal(size=(4, 50)), np.zeros((4, 50), bool), "mu of a"),
    "histogram": lambda: histogram(bands(), "a gene"),
    "loss": lambda: loss(1000 - np.arange(100.0)),
    "p_values": lambda: p_values({"variance": np.linspace(0, 1, 40), "mean": np.full(40, 0.5)}),
}
each = pytest.mark.parametrize("name", PICTURES)


@each
def test_a_picture_is_whole_svg_that_loads_nothing(name):
    svg = encode(PICTURES[name]())
    root = ET.fromstring(svg)
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert root.tag.endswith("svg") and all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(rb"<script|@import|url\((?!#)", svg)


@each
def test_equal_pictures_are_equal_bytes_whatever_the_users_own_settings(name):
    figure = PICTURES[name] if name != "chains" else lambda: chains(np.ones((2, 5)) * np.arange(5), np.zeros((2, 5), bool))
    plain = encode(figure())
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        assert encode(figure()) == plain
        assert matplotlib.rcParams["font.size"] == 30  # and theirs are left alone


@pytest.mark.parametrize("title", ["$x_1", "<script>", "a\x07\x00b", "\u65e5\u672c", "x" * 300, "a\nb", ""])
def test_any_name_can_be_drawn(title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = encode(histogram(bands(), title)).decode()
    words = "".join(ET.fromstring(svg).itertext())
    shown = style.plain(title)
    assert shown in words and shown.isprintable() and len(shown) <= 40
    if "\x07" not in title and "\n" not in title:
        assert shown.rstrip("\u2026") == title[: len(shown.rstrip("\u2026"))]


def test_pictures_of_nothing_are_drawn():
    none = np.zeros(3)
    for figure in (
        mean_variance(GeneStatistic(none, none, none, none > 0)),
        zero_fraction(GeneStatistic(none, none + 1, none + 1, none > 0)),
        capture(none, none, none, none),
        cell_totals(none, none, none),
        loss(np.array([5.0])),
        histogram(Bands(*(np.zeros(1, int) for _ in range(2)), *(np.full(1, 7.0) for _ in range(4)))),
    ):
        assert b"<svg" in encode(figure)


def test_many_points_are_an_image_of_few_bytes():
    svg = encode(mean_variance(statistic(20_000)))
    assert b"data:image/png" in svg and len(svg) < 150_000
    assert b"data:image/png" not in encode(mean_variance(statistic(20)))


def test_a_histogram_shows_cells_per_count():
    """A bin of five counts is drawn as high as one of one count with a fifth of its cells."""
    wide = Bands(np.array([0, 1, 2]), np.array([0, 1, 6]), *(np.array([50.0, 10.0, 25.0]) for _ in range(4)))
    axes = histogram(wide).axes[0]
    assert axes.lines[0].get_ydata().tolist() == [50.0, 10.0, 5.0]
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 4]
    assert axes.get_ylabel() == "cells per count" and histogram(bands()).axes[0].get_ylabel() == "cells"


def test_a_histogram_begins_where_cells_begin():
    first = np.arange(100)
    there = np.where(first >= 60, 3.0, 0.0)
    axes = histogram(Bands(first, first, there, there, there, there)).axes[0]
    assert axes.get_xlim() == (59.5, 99.5)


def test_genes_that_fail_have_a_mark_of_their_own():
    lines = {line.get_label(): line for line in mean_variance(statistic()).axes[0].lines}
    assert lines["observed"].get_marker() != lines["observed, check failed"].get_marker()
    assert len(lines["observed, check failed"].get_xdata()) == 10 and len(lines["predicted"].get_xdata()) == 50


def test_divergent_draws_are_marked_where_they_are():
    draws, diverging = np.arange(20.0).reshape(2, 10), np.zeros((2, 10), bool)
    diverging[1, 3] = True
    crosses = chains(draws, diverging).axes[0].lines[-1]
    assert (crosses.get_xdata().tolist(), crosses.get_ydata().tolist()) == ([4], [13.0])


@pytest.mark.parametrize(("value", "text"), [(0.01, "0.01"), (1, "1"), (1500, "1.5k"), (2e6, "2M"), (-3, "\u22123"), (0, "0")])
def test_ticks_are_plain_numbers(value, text):
    assert style.number(value) == text


# Machado, Oliveira, Fernandes 2009: colours as the colour-blind see them, severity 1, on linear RGB
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
TOGETHER = [(style.BLUE, style.VERMILLION), (style.BLUE, style.BLACK), (style.VERMILLION, style.BLACK), (style.SKY, style.BLACK)]


@pytest.mark.parametrize("kind", BLIND)
def test_colours_that_stand_together_can_be_told_apart_by_the_colour_blind(kind):
    def lab(colour):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        x, y, z = np.cbrt(np.maximum(XYZ @ np.clip(BLIND[kind] @ linear, 0, 1) / [0.9505, 1.0, 1.089], 0.008856))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    assert min(np.linalg.norm(lab(a) - lab(b)) for a, b in TOGETHER) > 25


def test_a_picture_is_saved_in_the_format_of_its_name(tmp_path):
    save(PICTURES["loss"](), tmp_path / "a.png")
    save(PICTURES["loss"](), tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG" and b"<svg" in (tmp_path / "a.svg").read_bytes()
