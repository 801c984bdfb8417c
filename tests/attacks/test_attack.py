"""The loop against optima that are known, and the promises that every result keeps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.conftest import Diagonal, Toy, convnet, pictures
from torch import Tensor, nn

from facefort.attacks import OBJECTIVES, Budget, Subject, attack
from facefort.attacks.loop import Problem, ascend
from facefort.attacks.sweep import round_towards
from facefort.errors import ModelError, UnknownNameError, UsageError
from facefort.runtime import generator

EIGHT = 8 / 255


def test_a_linear_model_is_driven_to_its_analytic_optimum(diagonal: Toy) -> None:
    clean = pictures(low=60, high=200)  # far from the borders: every vertex of the ball is a picture
    found = attack(diagonal, clean, budgets="8/255", steps=20)[0]
    gain = diagonal.network.gain.detach()
    optimum = (gain * EIGHT).square().mean()
    assert torch.allclose(found.loss, optimum.expand(3), rtol=1e-4)
    assert torch.allclose((found.pictures - clean).abs(), torch.tensor(EIGHT), atol=1e-6)
    assert found.trace.shape == (21, 3)
    assert bool((found.trace.diff(dim=0) >= -1e-9).all())  # convex: every step climbs


def test_at_the_borders_of_the_range_the_optimum_is_still_reached(diagonal: Toy) -> None:
    # Black and white pixels can go one way only, and must not be stuck where the self-distance has no slope.
    clean = torch.cat([torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)])
    found = attack(diagonal, clean, budgets="8/255")[0]
    assert torch.allclose((found.pictures - clean).abs(), torch.tensor(EIGHT), atol=1e-6)


def test_budget_zero_returns_the_picture_itself(conv: Toy) -> None:
    clean = pictures()
    found = attack(conv, clean, budgets="0,1/255")[0]
    assert torch.equal(found.pictures, clean)
    assert float(found.loss.abs().max()) == 0
    assert float(found.linf.max()) == 0


@pytest.mark.parametrize("objective", ["pix_self", "l1", "pix_gt"])
def test_results_are_8_bit_pictures_inside_the_ball(conv: Toy, objective: str) -> None:
    clean = pictures()
    budgets = Budget.parse_list("1/255,2/255,0.03,16/255")
    results = attack(conv, clean, objective=objective, budgets=budgets, reference=clean.flip(0))
    assert [r.budget for r in results] == budgets
    losses = torch.stack([r.loss for r in results])
    for found in results:
        levels = found.pictures * 255
        assert torch.allclose(levels, levels.round(), atol=1e-4)
        change = (levels.round() - (clean * 255).round()).abs()
        assert float(change.max()) == found.budget.levels
        assert torch.allclose(found.linf, (found.pictures - clean).abs().flatten(1).amax(1))
        assert float(found.pictures.min()) >= 0
        assert float(found.pictures.max()) <= 1
    assert bool((losses.diff(dim=0) > 0).all())  # a larger ball is worse for every picture


def test_the_loss_is_that_of_the_rounded_pictures(conv: Toy) -> None:
    clean = pictures()
    found = attack(conv, clean, budgets="3/255")[0]
    conv.eval()
    with torch.no_grad():
        expected = (conv(found.pictures) - conv(clean)).square().flatten(1).mean(1)
    assert torch.allclose(found.loss, expected)


def test_the_mask_is_kept_bit_by_bit(conv: Toy) -> None:
    clean = pictures()
    region = torch.zeros(3, 1, 8, 8)
    region[:, :, 2:5, 3:6] = 1
    found = attack(conv, clean, budgets="8/255", region=region)[0]
    outside = (region == 0).expand_as(clean)
    assert torch.equal(found.pictures[outside], clean[outside])
    assert bool((found.pictures != clean)[~outside].float().mean() > 0.9)


def test_the_loss_region_counts_only_what_lies_in_it(diagonal: Toy) -> None:
    clean = pictures(low=60, high=200)
    region = torch.zeros(3, 1, 8, 8)
    region[..., :4] = 1
    found = attack(diagonal, clean, budgets="8/255", region_loss=region)[0]
    gain = diagonal.network.gain.detach()[..., :4]
    assert torch.allclose(found.loss, (gain * EIGHT).square().mean().expand(3), rtol=1e-4)


def test_more_steps_and_more_restarts_are_never_weaker(conv: Toy) -> None:
    clean = pictures()
    few, many = (attack(conv, clean, budgets="8/255", steps=n)[0].loss for n in (2, 30))
    assert bool((many >= few).all())
    assert bool((many > few).any())
    one, four = (attack(conv, clean, budgets="8/255", steps=3, restarts=n)[0].loss for n in (1, 4))
    assert bool((four >= one).all())
    assert bool((four > one).any())


def test_a_picture_does_not_depend_on_its_batch(conv: Toy) -> None:
    clean = pictures(3)
    names = ["a", "b", "c"]
    together = attack(conv, clean, names=names, steps=5, restarts=2)[0]
    for i, name in enumerate(names):
        alone = attack(conv, clean[i : i + 1], names=[name], steps=5, restarts=2)[0]
        assert torch.allclose(alone.loss, together.loss[i : i + 1], rtol=1e-3)
        assert (alone.pictures != together.pictures[i : i + 1]).float().mean() < 0.02  # a sign near zero may flip
    again = attack(conv, clean, names=names, steps=5, restarts=2)[0]
    assert torch.equal(again.pictures, together.pictures)
    other = attack(conv, clean, names=names, steps=5, restarts=2, seed=1)[0]
    assert not torch.equal(other.pictures, together.pictures)


def test_budgets_together_equal_budgets_alone(conv: Toy) -> None:
    clean = pictures()
    together = attack(conv, clean, budgets="2/255,8/255", steps=5)
    for budget, found in zip(("2/255", "8/255"), together, strict=True):
        assert torch.equal(attack(conv, clean, budgets=budget, steps=5)[0].pictures, found.pictures)


def test_the_random_start_gives_the_self_objective_a_gradient(conv: Toy) -> None:
    # At the clean picture its gradient is exactly zero: an attack that started there would never move.
    clean = pictures()
    found = attack(conv, clean, budgets="8/255", steps=1)[0]
    assert bool((found.trace[0] > 0).all())
    assert bool((found.trace[1] > found.trace[0]).all())


def test_parity_with_the_textbook_loop_on_a_classifier() -> None:
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    clean, labels = pictures(4, low=20, high=236), torch.tensor([1, 2, 3, 4])
    cross_entropy = nn.CrossEntropyLoss(reduction="none")
    noise = torch.rand(clean.shape, generator=generator("start")) * 2 - 1
    epsilon, alpha, steps = EIGHT, 2 / 255, 10

    adversarial = (clean + epsilon * noise).clamp(0, 1)
    losses = []
    for _ in range(steps):
        adversarial = adversarial.detach().requires_grad_()
        loss = cross_entropy(classifier(adversarial), labels)
        losses.append(loss.detach())
        gradient = torch.autograd.grad(loss.mean(), adversarial)[0]
        adversarial = adversarial.detach() + alpha * gradient.sign()
        adversarial = (clean + (adversarial - clean).clamp(-epsilon, epsilon)).clamp(0, 1)
    losses.append(cross_entropy(classifier(adversarial), labels).detach())

    problem = Problem(lambda moved: cross_entropy(classifier(moved), labels), clean, list("abcd"), "classifier")
    found = ascend(problem, noise, epsilon=epsilon, steps=steps, step_size=alpha)
    assert torch.allclose(found.trace, torch.stack(losses), rtol=1e-4)
    assert torch.allclose(found.loss, torch.stack(losses).amax(0), rtol=1e-4)
    last_is_worst = found.trace.argmax(0) == steps
    assert bool(last_is_worst.any())
    assert torch.allclose(found.pictures[last_is_worst], adversarial[last_is_worst], atol=1e-6)


def test_the_worst_iterate_is_kept_not_the_last() -> None:
    # A step far too long for this narrow peak jumps over it for ever.
    def loss(moved: Tensor) -> Tensor:
        return -(moved - 0.51).abs().flatten(1).mean(1)

    clean = torch.full((1, 3, 4, 4), 0.5)
    noise = torch.full_like(clean, 0.15)
    found = ascend(Problem(loss, clean, ["a"], "toy"), noise, epsilon=0.1, steps=5, step_size=0.07)
    assert float(found.loss) == float(found.trace.max())
    assert float(found.trace[-1]) < float(found.loss)
    assert torch.allclose(found.pictures, torch.tensor(0.515))


@given(st.integers(0, 255), st.integers(0, 255), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_rounding_goes_towards_the_clean_picture(clean: int, moved: int, part: float) -> None:
    base = torch.full((1, 1, 1, 1), clean / 255)
    target = base + (moved / 255 - base) * part
    rounded = round_towards(target, base)
    levels = float(rounded * 255)
    assert levels == pytest.approx(round(levels), abs=1e-3)
    assert min(base, target) - 1e-5 <= rounded <= max(base, target) + 1e-5
    assert float((rounded - target).abs()) < 1 / 255 + 1e-6
    assert torch.equal(round_towards(torch.tensor(moved) / 255, torch.tensor(clean) / 255), torch.tensor(moved) / 255)


def test_a_bfloat16_forward_keeps_a_float32_objective() -> None:
    class Half(Toy):
        def forward(self, faces: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(faces)

    clean = pictures()
    found = attack(Half(convnet()), clean, budgets="8/255")[0]
    full = attack(Toy(convnet()), clean, budgets="8/255")[0]
    assert found.loss.dtype == found.trace.dtype == found.pictures.dtype == torch.float32
    assert torch.allclose(found.loss, full.loss, rtol=0.25)


def test_the_objectives_are_listed() -> None:
    assert OBJECTIVES.names() == ["pix_self", "pix_gt", "l1", "perc", "id"]


@pytest.mark.weights("lpips")
def test_the_perceptual_objective_climbs_and_respects_its_region() -> None:
    restorer = Toy(convnet(), 64)
    clean = pictures(1, 64)
    found = attack(restorer, clean, objective="perc", budgets="8/255", steps=4)[0]
    assert float(found.loss) > 1.5 * float(found.trace[0])
    left = torch.zeros(1, 1, 64, 64)
    left[..., :32] = 1
    subject = Subject(clean, region=left)
    damaged = torch.cat([clean[..., :32], 1 - clean[..., 32:]], -1)
    assert float(OBJECTIVES.get("perc")(subject)(damaged)) == 0
    assert float(OBJECTIVES.get("perc")(Subject(clean))(damaged)) > 0.05


@pytest.mark.weights("dlib-resnet")
def test_the_identity_objective_climbs() -> None:
    found = attack(Toy(convnet(), 64), pictures(1, 64), objective="id", budgets="8/255", steps=3)[0]
    assert float(found.loss) > float(found.trace[0]) > 0


class TestRefusals:
    def test_a_model_without_a_path(self) -> None:
        with pytest.raises(ModelError, match=r"no differentiable path .*gradient masking"):
            attack(Toy(lambda x: x.detach() * 1), pictures())

    def test_a_model_whose_gradient_is_zero(self) -> None:
        with pytest.raises(ModelError, match="zero everywhere for 'b'"):
            attack(Toy(lambda x: torch.cat([x[:1], (x[1:] * 255).round() / 255])), pictures(2), names=["a", "b"])

    def test_a_model_that_returns_nan(self) -> None:
        with pytest.raises(ModelError, match="NaN or infinity for '0'"):
            attack(Toy(lambda x: x / 0), pictures())

    def test_a_model_that_returns_nan_only_when_attacked(self) -> None:
        def root(x: Tensor) -> Tensor:
            return (x - x[:, :1]).abs().sqrt()  # the slope of the root at zero is infinite

        with pytest.raises(ModelError, match="NaN or infinity"):
            attack(Toy(root), pictures())

    def test_a_model_that_changes_the_size(self) -> None:
        with pytest.raises(ModelError, match=r"returned \(3, 3, 4, 4\).*keeps the size"):
            attack(Toy(lambda x: x[..., ::2, ::2]), pictures())

    @pytest.mark.parametrize("what", ["buffer", "parameter", "mode", "replaced"])
    def test_a_model_that_changes_its_state(self, what: str) -> None:
        class Drifting(Diagonal):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("calls", torch.zeros(1))

            def forward(self, x: Tensor) -> Tensor:
                if what == "buffer":
                    self.calls += 1
                elif what == "parameter":
                    self.gain.data.mul_(1.01)
                elif what == "replaced":
                    self.calls = self.calls + 1
                else:
                    self.train()
                return super().forward(x)

        with pytest.raises(ModelError, match="changes its state"):
            attack(Toy(Drifting()), pictures(), steps=1)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"pictures": torch.full((1, 3, 8, 8), 0.5)}, "8-bit values"),
            ({"pictures": torch.full((1, 3, 8, 8), 2.0)}, "8-bit values"),
            ({"pictures": torch.zeros(3, 8, 8)}, "a batch"),
            ({"pictures": torch.zeros(0, 3, 8, 8)}, "a batch"),
            ({"names": ["a"]}, "as many different names"),
            ({"names": ["a", "a", "b"]}, "as many different names"),
            ({"steps": 0}, "at least 1"),
            ({"restarts": 0}, "at least 1"),
            ({"step_size": 0.0}, "above 0"),
            ({"region": torch.ones(3, 3, 8, 8)}, "region must have shape"),
            ({"region": torch.zeros(3, 1, 8, 8)}, "not be empty"),
            ({"region_loss": torch.full((3, 1, 8, 8), 2.0)}, r"region_loss must hold values in \[0, 1\]"),
            ({"reference": torch.ones(2, 3, 8, 8)}, "reference must have shape"),
            ({"objective": "pix_gt"}, "choose pix_self"),
            ({"budgets": "8"}, "did you mean"),
        ],
    )
    def test_inputs_that_do_not_fit(self, diagonal: Toy, change: dict, message: str) -> None:
        arguments = {"pictures": pictures()} | change
        with pytest.raises(UsageError, match=message):
            attack(diagonal, arguments.pop("pictures"), **arguments)

    def test_an_unknown_objective_names_its_neighbour(self, diagonal: Toy) -> None:
        with pytest.raises(UnknownNameError, match="did you mean pix_self"):
            attack(diagonal, pictures(), objective="pixself")


def test_the_model_is_given_back_as_it_was(conv: Toy) -> None:
    conv.train()
    conv.network[1].eval()
    conv.network[0].weight.requires_grad_(False)
    before = {key: value.clone() for key, value in conv.state_dict().items()}
    with torch.no_grad():
        attack(conv, pictures(), steps=2)
    assert all(torch.equal(value, before[key]) for key, value in conv.state_dict().items())
    assert conv.training
    assert conv.network[0].training
    assert not conv.network[1].training
    assert not conv.network[0].weight.requires_grad
    assert conv.network[3].weight.requires_grad
    assert all(parameter.grad is None for parameter in conv.parameters())


def test_flags_come_back_after_an_error(conv: Toy) -> None:
    conv.train()
    with pytest.raises(UsageError):
        attack(conv, pictures(), objective="pix_gt")
    assert conv.training
    assert all(parameter.requires_grad for parameter in conv.parameters())
