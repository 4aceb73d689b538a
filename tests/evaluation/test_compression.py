"""Compression: bytes decode to the codes, their number is near the entropy, and JPEG headers are not counted."""

import io

import numpy as np
import pytest
from PIL import Image

from thalweg.evaluation.statistics.compression import curve, distortion, quantize
from thalweg.evaluation.statistics.entropy_coding import pack, unpack
from thalweg.evaluation.statistics.jpeg import FILES, SCANS, SHEET, jpeg_curves, scan_bytes


def entropy(symbols):
    """Bits of all the symbols under each column's histogram."""
    bits = 0.0
    for column in symbols.T:
        counts = np.unique(column, return_counts=True)[1]
        bits -= (counts * np.log2(counts / len(column))).sum()
    return bits


def coded(z, steps, peak):
    """The curve of codes (N, d) that are images (N, 1, 1, d) themselves."""
    return curve(z, lambda codes: codes[:, None, None], z[:, None, None], steps, peak=peak)


def distributions(n):
    random = np.random.default_rng(0)
    return {
        "gaussian": random.normal(size=(n, 3)) * [10, 1, 0.1],
        "skewed": random.geometric(0.6, (n, 2)) * 1.0,
        "constant": np.full((n, 2), -7.0),
        "sparse": np.where(random.random((n, 4)) < 0.03, random.normal(size=(n, 4)) * 50, 0),
        "far": random.normal(size=(n, 2)) + 1e6,
    }


@pytest.mark.system("S72")
@pytest.mark.parametrize("n", [1, 2, 300, 20_000])
@pytest.mark.parametrize("name", ["gaussian", "skewed", "constant", "sparse", "far"])
def test_bytes_give_the_codes_back_and_spend_the_entropy(name, n):
    symbols = quantize(distributions(n)[name], 0.25)
    data, parts = pack(symbols, 0.25)
    back, step = unpack(data)
    assert np.array_equal(back, symbols)
    assert step == 0.25
    assert isinstance(data, bytes)
    assert sum(parts.values()) == len(data)
    spent, least = 8 * parts["codes"], entropy(symbols)
    assert least - 1e-6 <= spent <= 1.02 * least + 64
    assert 8 * len(data) >= least
    if n == 20_000:  # with the histograms, too
        assert 8 * len(data) <= 1.02 * least + 64 + 8 * 12 + 24 * sum(len(np.unique(c)) + 1e3 for c in symbols.T)


@pytest.mark.system("S72")
def test_a_flipped_bit_is_an_error_or_changes_the_codes():
    symbols = quantize(np.random.default_rng(0).normal(size=(100, 2)), 0.5)
    data, parts = pack(symbols, 0.5)
    for place in (0, 5, 9, parts["header"] + 1, len(data) - 6):
        broken = bytearray(data)
        broken[place] ^= 0b0100
        try:
            back, step = unpack(bytes(broken))
        except (ValueError, AssertionError, IndexError, MemoryError, OverflowError):
            continue
        assert not (back.shape == symbols.shape and np.array_equal(back, symbols) and step == 0.5)


@pytest.mark.system("S72")
@pytest.mark.parametrize("step", [0.5, 0.1, 0.03])
def test_of_gaussian_codes_the_rate_is_the_entropy_less_log_step_and_the_error_a_twelfth(step):
    """h(N(0, σ²)) − log₂ Δ = ½ log₂(2πeσ²) − log₂ Δ bits at high resolution, with the squared error Δ²/12."""
    z = np.random.default_rng(1).normal(size=(50_000, 1)) * 2.0
    findings = coded(z, [step], peak=np.inf)[0]
    expected = 0.5 * np.log2(2 * np.pi * np.e * 4) - np.log2(step)
    symbols = findings.parts["codes"] * 8 / 50_000
    assert symbols == pytest.approx(expected, abs=0.02)
    assert findings.rate.value == pytest.approx(8 * findings.total / 50_000)
    assert findings.rate.value == pytest.approx(expected, rel=0.02)


@pytest.mark.system("S72")
def test_the_error_is_a_twelfth_of_the_steps_square_and_falls_with_it():
    z = np.random.default_rng(1).normal(size=(20_000, 2)) + 50
    steps = [2.0, 1.0, 0.5, 0.25, 0.125]
    points = coded(z, steps, peak=100)
    errors, rates = ([getattr(p, name).value for p in points] for name in ("error", "rate"))
    assert errors == sorted(errors, reverse=True)
    assert rates == sorted(rates)
    assert [p.setting for p in points] == steps
    assert errors[2:] == pytest.approx([step**2 / 12 for step in steps[2:]], rel=0.03)
    assert all(p.rate.low < p.rate.value < p.rate.high for p in points)


@pytest.mark.system("S72")
def test_the_interval_of_a_rate_is_over_the_bits_of_each_image():
    z = np.array([[0.0, 5.0]] * 30 + [[1.0, 5.0]] * 10)
    rate = coded(z, [1.0], peak=10)[0].rate
    usual, rare = -np.log2(30 / 40) / 2, -np.log2(10 / 40) / 2  # bits/value
    assert rate.parts[-1] - rate.parts[0] == pytest.approx(rare - usual)
    assert rate.parts.mean() == rate.value


@pytest.mark.system("S72")
def test_distortion_is_of_each_image_then_averaged():
    x = np.zeros((2, 1, 2, 2))
    findings = np.stack([np.full((1, 2, 2), 1.0), np.full((1, 2, 2), 10.0)])
    error, psnr = distortion(x, findings, peak=100)
    assert error.value == pytest.approx(50.5)
    assert psnr.value == pytest.approx(30.0)  # of 40 and 20, not of the pooled error
    assert distortion(x, findings - 20, peak=100)[0].value == 0  # clipped
    assert distortion(x, x, peak=100)[1].value == np.inf


@pytest.mark.system("S72")
def test_a_step_too_fine_is_refused():
    with pytest.raises(ValueError, match="step: got 1e-06, with which a code takes"):
        pack(quantize(np.array([[0.0], [1.0]]), 1e-6), 1e-6)
    with pytest.raises(ValueError, match="step: got 0"):
        quantize(np.zeros((1, 1)), 0.0)


def pictures(n=30, channels=1, side=20, peak=255):
    random = np.random.default_rng(0)
    waves = np.linspace(0, 3, side)[:, None] * random.random((n, channels, 1, 1))
    return np.rint(peak * (0.5 + 0.4 * np.sin(waves + waves.swapaxes(2, 3)))).astype(np.uint8)


@pytest.mark.system("S72")
@pytest.mark.parametrize(("channels", "peak"), [(1, 255), (3, 255), (1, 16)])
def test_jpeg_is_what_pillow_writes(channels, peak):
    x = pictures(channels=channels, peak=peak)
    curves = jpeg_curves(x, [20, 90], peak=peak)
    pixels = len(x) * 20 * 20  # of three values in color
    for place, quality in enumerate((20, 90)):
        sizes, errors = [], []
        for image in np.rint(x * (255 / peak)).astype(np.uint8):
            file = io.BytesIO()
            shown = Image.fromarray(image[0] if channels == 1 else image.transpose(1, 2, 0))
            shown.save(file, "JPEG", quality=quality, optimize=True, subsampling=0)
            sizes.append(len(file.getvalue()))
            back = np.asarray(Image.open(file), dtype=float).reshape(20, 20, channels).transpose(2, 0, 1)
            errors.append(np.mean((back - image) ** 2) * (peak / 255) ** 2)
        files, scans, sheet = (curves[name][place] for name in (FILES, SCANS, SHEET))
        assert files.total == sum(sizes)
        assert files.rate.value == pytest.approx(8 * sum(sizes) / pixels)
        assert files.rate.parts == pytest.approx(8 * np.array(sizes) / 400)
        if peak == 255:
            assert files.error.value == pytest.approx(np.mean(errors))
        assert scans.error == files.error
        assert scans.total < sheet.total < files.total
        assert sheet.error.value == pytest.approx(files.error.value, rel=0.25)
    for points in curves.values():
        assert points[0].rate.value < points[1].rate.value
        assert points[0].psnr.value < points[1].psnr.value


@pytest.mark.system("S72")
def test_the_data_of_a_jpeg_file_are_what_follows_its_header():
    file = io.BytesIO()
    Image.fromarray(pictures()[0, 0]).save(file, "JPEG")
    findings = file.getvalue()
    start = findings.rindex(b"\xff\xda")  # length 8 of a scan of one component, and the marker's two bytes
    assert scan_bytes(findings) == len(findings) - start - 2 - 8 - 2
    with pytest.raises(ValueError, match="JPEG: got bytes"):
        scan_bytes(b"no JPEG")


@pytest.mark.system("S72")
def test_jpeg_refuses_images_that_it_cannot_represent():
    with pytest.raises(ValueError, match="got 2 channels"):
        jpeg_curves(pictures(channels=2), [50], peak=255)
