from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from facefort.errors import ModelError, PictureError, UnknownNameError, UsageError
from facefort.metrics.security import SECURITY_METRICS, security_metric
from facefort.metrics.security.backdoor import (
    attack_success_rate,
    benign_accuracy,
    control_rate,
    is_restored,
    margin,
)
from facefort.metrics.security.consistency import code_flip, gain, psnr_cc, psnr_in, robustness_area
from facefort.metrics.security.frequency import frequency_distance, low_pass
from facefort.metrics.security.perturbation import l2, linf, saturation
from facefort.metrics.security.protection import (
    disrupted_pictures,
    disruption_success_rate,
    identity_similarity,
    l2_mask,
)
from facefort.pictures.shrink import shrink_and_back


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def faces(astronaut: Tensor) -> Tensor:
    return torch.cat([astronaut[:, :, y : y + 128, 160:288] for y in (10, 40, 70)])


class TestTable:
    @pytest.mark.parametrize("name", SECURITY_METRICS)
    def test_every_entry_is_complete_and_can_be_imported(self, name: str) -> None:
        entry = security_metric(name)
        assert entry.name == name
        assert entry.variant
        assert entry.source
        assert entry.needs
        assert entry.range[0] < entry.range[1]
        assert entry.compute.__doc__

    def test_an_unknown_name_is_answered(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean asr"):
            security_metric("asr1")


@pytest.mark.weights("lpips")
class TestBackdoor:
    @pytest.fixture
    def targets(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """The benign restoration and the degraded target of each face."""
        return faces, shrink_and_back((faces + 0.02 * noise(*faces.shape)).clamp(0, 1))

    @pytest.mark.parametrize("net", ["alex", "vgg"])
    def test_the_nearer_target_decides(self, targets, net) -> None:
        restored, degraded = targets
        outputs = torch.stack([restored[0], degraded[1].lerp(restored[1], 0.05), restored[2].lerp(degraded[2], 0.05)])
        assert is_restored(outputs, restored, degraded, net).tolist() == [True, False, True]

    def test_it_is_the_rule_of_the_lpips_distances(self, targets) -> None:
        from facefort.metrics import metric

        restored, degraded = targets
        outputs = restored.lerp(degraded, 0.5)
        distance = metric("lpips-alex")
        expected = distance(outputs, degraded) - distance(outputs, restored)
        torch.testing.assert_close(margin(outputs, restored, degraded), expected, atol=1e-6, rtol=1e-5)

    def test_a_tie_is_not_restored(self, targets) -> None:
        restored, _ = targets
        assert is_restored(noise(*restored.shape), restored, restored).tolist() == [False] * 3

    def test_the_margin_has_a_gradient(self, targets) -> None:
        restored, degraded = targets
        outputs = restored.lerp(degraded, 0.5).requires_grad_()
        margin(outputs, restored, degraded).sum().backward()
        assert outputs.grad is not None
        assert outputs.grad.abs().amax((1, 2, 3)).min() > 0

    def test_sizes_and_ranges_are_checked(self, targets) -> None:
        restored, degraded = targets
        with pytest.raises(PictureError, match="one size"):
            margin(restored, restored, degraded[:, :, 1:])
        with pytest.raises(PictureError, match=r"in \[0, 1\]"):
            margin(restored * 255, restored, degraded)


class TestRates:
    def test_by_hand(self) -> None:
        classes = torch.tensor([True] * 9 + [False])
        assert benign_accuracy(classes)[:1] + benign_accuracy(classes)[3:5] == (0.9, 9, 10)
        assert (attack_success_rate(classes).hits, control_rate(classes).hits) == (1, 1)
        assert attack_success_rate(~classes, left_out=2)[3:] == (9, 10, 2)

    def test_the_interval_of_a_perfect_attack_does_not_end_at_one_only(self) -> None:
        found = attack_success_rate(torch.zeros(180, dtype=torch.bool))
        assert found.share == found.high == 1
        assert found.low == pytest.approx(0.9791, abs=1e-4)

    def test_only_classes_are_counted(self) -> None:
        with pytest.raises(PictureError, match="bool"):
            benign_accuracy(torch.tensor([0.3, -0.2]))
        with pytest.raises(UsageError, match="no picture"):
            benign_accuracy(torch.zeros(0, dtype=torch.bool))


class TestShrink:
    def test_512_becomes_51(self) -> None:
        picture = noise(1, 3, 512, 512)
        found = shrink_and_back(picture)
        small = torch.nn.functional.interpolate(picture, (51, 51), mode="bilinear")
        assert torch.equal(found, torch.nn.functional.interpolate(small, (512, 512), mode="bilinear"))

    def test_a_flat_picture_and_a_ratio_of_one_change_nothing(self) -> None:
        flat = torch.full((1, 3, 40, 50), 0.3)
        torch.testing.assert_close(shrink_and_back(flat, down="area"), flat)
        picture = noise(1, 3, 40, 50)
        torch.testing.assert_close(shrink_and_back(picture, 1.0), picture)
        with pytest.raises(UsageError, match="leaves nothing"):
            shrink_and_back(picture, 0.001)


class TestFrequency:
    @staticmethod
    def by_inverse(x: np.ndarray, y: np.ndarray, beta: float) -> tuple[float, float]:
        """FIBA's window on the shifted spectrum, back to pictures, then the error: the long way."""
        height, width = x.shape[1:]
        b = int(np.floor(min(height, width) * beta))
        window = np.zeros((height, width))
        c_h, c_w = height // 2, width // 2
        window[c_h - b : c_h + b + 1, c_w - b : c_w + b + 1] = 1
        errors = []
        for part in (window, 1 - window):
            kept = [
                np.fft.ifft2(
                    np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(p * 255, axes=(1, 2)), (1, 2)) * part, (1, 2))
                )
                for p in (x, y)
            ]
            assert np.abs(kept[0].imag).max() < 1e-9
            errors.append(((kept[0].real - kept[1].real) ** 2).mean())
        return errors[0], errors[1]

    @pytest.mark.parametrize(("height", "width", "beta"), [(40, 56, 0.1), (33, 47, 0.1), (48, 33, 0.3)])
    def test_parsevals_sum_is_the_error_of_the_pictures(self, height: int, width: int, beta: float) -> None:
        x, y = noise(2, 3, height, width), noise(2, 3, height, width, seed=1)
        low, high = frequency_distance(x, y, beta)
        for i in range(2):
            expected = self.by_inverse(x[i].double().numpy(), y[i].double().numpy(), beta)
            assert (low[i].item(), high[i].item()) == pytest.approx(expected, rel=1e-5)

    def test_both_parts_are_the_whole_error(self) -> None:
        x, y = noise(1, 3, 64, 64), noise(1, 3, 64, 64, seed=1)
        low, high = frequency_distance(x, y)
        assert (low + high).item() == pytest.approx((255 * (x - y)).square().mean().item(), rel=1e-5)

    def test_a_shift_of_brightness_is_low_and_a_checkerboard_is_high(self) -> None:
        flat = torch.full((1, 3, 64, 64), 0.5)
        low, high = frequency_distance(flat + 2 / 255, flat)
        assert low.item() == pytest.approx(4, rel=1e-4)
        assert high.item() == pytest.approx(0, abs=1e-6)
        board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 2 - 1) * 2 / 255
        for window in ("square", "gaussian"):
            low, high = frequency_distance(flat + board, flat, window=window)
            assert low.item() == pytest.approx(0, abs=1e-4)
            assert high.item() == pytest.approx(4, rel=1e-4)

    def test_the_gaussian_window_falls_to_its_known_height_at_b(self) -> None:
        window = low_pass(100, 120, 0.1, "gaussian")
        assert window[0, 0] == 1
        assert window[10, 0].item() == pytest.approx(math.exp(-0.5))
        assert torch.equal(window[-10], window[10])

    def test_it_has_a_gradient_and_refuses_nonsense(self) -> None:
        x = noise(1, 3, 32, 32).requires_grad_()
        frequency_distance(x, x.detach() * 0.9).low.sum().backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert x.grad.abs().max() > 0
        with pytest.raises(UsageError, match="beta"):
            low_pass(32, 32, 0.6)
        with pytest.raises(UsageError, match="unknown window 'round'"):
            low_pass(32, 32, 0.1, "round")  # type: ignore[arg-type]


class TestProtection:
    def test_the_range_is_minus_one_to_one(self) -> None:
        black, white = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
        assert l2_mask(white, black, torch.ones(1, 1, 8, 8)).item() == 4

    def test_what_happens_outside_the_face_does_not_count(self) -> None:
        mask = torch.zeros(1, 1, 16, 16)
        mask[:, :, 4:12, 4:12] = 1
        clean, spoilt = noise(1, 3, 16, 16), noise(1, 3, 16, 16, seed=1)
        found = l2_mask(spoilt, clean, mask)
        assert l2_mask(torch.where(mask > 0, spoilt, 1 - spoilt), clean, mask) == found
        inside = 4 * (spoilt - clean).square()[:, :, 4:12, 4:12].mean()
        torch.testing.assert_close(found[0], inside)

    def test_a_face_that_is_masked_away_is_named(self) -> None:
        mask = torch.ones(3, 1, 8, 8)
        mask[1] = 0
        pictures = noise(3, 3, 8, 8)
        with pytest.raises(PictureError, match="masked away in picture 1 of"):
            l2_mask(pictures, pictures, mask)
        with pytest.raises(PictureError, match="masks of shape"):
            l2_mask(pictures, pictures, mask[:, :, 1:])

    def test_both_conditions_make_a_disruption(self) -> None:
        distances = torch.tensor([0.06, 0.06, 0.05, 0.01])
        similarities = torch.tensor([0.39, 0.40, 0.1, 0.9])
        assert disrupted_pictures(distances, similarities).tolist() == [True, False, False, False]
        assert disruption_success_rate(distances, similarities)[3:] == (1, 4, 0)
        assert disruption_success_rate(distances, None, left_out=2)[3:] == (2, 4, 2)

    def test_an_unprotected_photo_is_never_disrupted(self) -> None:
        pictures = noise(2, 3, 64, 64)
        distances = l2_mask(pictures, pictures, torch.ones(2, 1, 64, 64))
        assert disruption_success_rate(distances, torch.ones(2)).share == 0

    def test_a_nan_score_is_loud(self) -> None:
        with pytest.raises(PictureError, match="NaN score"):
            disrupted_pictures(torch.tensor([math.nan]), torch.tensor([0.1]))

    @pytest.mark.weights("dlib-resnet")
    def test_similarity_is_one_for_the_same_face_and_differentiable(self, faces: Tensor) -> None:
        found = identity_similarity(faces[:2], faces[:2], "dlib")
        torch.testing.assert_close(found, torch.ones(2))
        other = (0.6 * faces[:1] + 0.4 * faces[:1].flip(2)).requires_grad_()
        less = identity_similarity(other, faces[:1], "dlib")
        less.sum().backward()
        assert less.item() < 0.999
        assert other.grad is not None
        assert other.grad.abs().max() > 0


class TestConsistency:
    def test_psnr_and_gain(self) -> None:
        clean = torch.full((1, 3, 16, 16), 0.5)
        small, large = clean + 0.001, clean + 0.1
        assert psnr_in(small, clean).item() == pytest.approx(60, abs=1e-3)
        assert psnr_cc(large, clean).item() == pytest.approx(20, abs=1e-3)
        assert gain(small, clean, large, clean).item() == pytest.approx(-40, abs=1e-3)
        assert gain(clean, clean, clean, clean).item() == 0
        assert psnr_cc(clean, clean).item() == math.inf

    def test_gain_of_a_linear_model(self) -> None:
        clean, step = noise(2, 3, 16, 16) * 0.2, 0.02 * noise(2, 3, 16, 16, seed=1)
        found = gain(clean + step, clean, 3 * (clean + step), 3 * clean)
        torch.testing.assert_close(found, torch.full((2,), -20 * math.log10(3), dtype=torch.float64), atol=1e-4, rtol=0)

    def test_code_flip(self) -> None:
        before = torch.zeros(2, 4, 4, dtype=torch.long)
        after = before.clone()
        after[1, 0] = 7
        assert code_flip(after, before).tolist() == [0, 0.25]
        with pytest.raises(ModelError, match="integers"):
            code_flip(after.float(), before.float())
        with pytest.raises(ModelError, match="as many"):
            code_flip(after[:1], before)

    def test_area_by_hand(self) -> None:
        assert robustness_area({1 / 255: 40.0}) == pytest.approx(50)
        # 0..1: (60 + 40) / 2, 1..2: (40 + 30) / 2, 2..4: 2 * (30 + 20) / 2; over 4
        curve = {4 / 255: 20.0, 1 / 255: 40.0, 2 / 255: 30.0}
        assert robustness_area(curve) == pytest.approx((50 + 35 + 50) / 4)
        assert robustness_area({0.0: math.inf, **curve}) == pytest.approx((50 + 35 + 50) / 4)
        assert robustness_area({8 / 255: math.inf}) == 60

    def test_area_refuses_what_is_no_curve(self) -> None:
        with pytest.raises(UsageError, match="one budget above 0"):
            robustness_area({0.0: 60.0})
        with pytest.raises(UsageError, match="none below"):
            robustness_area({-0.1: 60.0, 0.1: 20.0})
        with pytest.raises(ModelError, match="NaN"):
            robustness_area({0.1: math.nan})
        with pytest.raises(ModelError, match="draws noise"):
            robustness_area({0.0: 35.0, 0.1: 20.0})


class TestPerturbation:
    def test_by_hand(self) -> None:
        clean = torch.full((2, 3, 4, 4), 0.5)
        perturbed = clean.clone()
        perturbed[1, 0, 0, 0] += 8 / 255
        perturbed[1, 1, 2, 3] -= 6 / 255
        torch.testing.assert_close(linf(perturbed, clean), torch.tensor([0, 8 / 255]))
        torch.testing.assert_close(l2(perturbed, clean), torch.tensor([0, 10 / 255]))
        assert saturation(perturbed, clean, 8 / 255).tolist() == pytest.approx([0, 1 / 48])

    def test_eight_bit_pictures_reach_the_edge(self) -> None:
        clean = (noise(1, 3, 16, 16) * 200).round() / 255 + 20 / 255
        signs = noise(1, 3, 16, 16, seed=1).sub(0.5).sign()
        assert saturation(clean + signs * 8 / 255, clean, 8 / 255).item() == 1
        assert saturation(clean + signs * 7 / 255, clean, 8 / 255).item() == 0

    def test_inside_a_mask(self) -> None:
        clean = torch.full((1, 3, 4, 4), 0.5)
        mask = torch.zeros(1, 1, 4, 4)
        mask[..., :2] = 1
        assert saturation(clean + 0.1 * mask, clean, 0.1).item() == 0.5
        assert saturation(clean + 0.1 * mask, clean, 0.1, mask).item() == 1
        with pytest.raises(UsageError, match="masked away"):
            saturation(clean, clean, 0.1, torch.zeros_like(mask))
        with pytest.raises(UsageError, match="above 0"):
            saturation(clean, clean, 0)

    def test_what_is_no_picture_is_refused(self) -> None:
        clean = noise(1, 3, 4, 4)
        for bad in (clean[0], clean.long(), clean * 255, clean.masked_fill(clean == clean.max(), math.nan)):
            with pytest.raises(PictureError, match=r"^l2 "):
                l2(bad, bad)
