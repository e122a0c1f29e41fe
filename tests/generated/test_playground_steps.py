"""Rules as JavaScript take the steps that kernels take: every one that the playground offers, in float64."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_groups_of_rules import different
from website.javascript import rule

ROOT = Path(__file__).parents[2]
LIBRARY = (ROOT / "docs" / "website" / "steps.js").read_text(encoding="utf-8")
NODE = shutil.which("node")
SHAPES = [(3, 4), (5,), (2, 3, 2), ()]
STEPS = 8
RUNS = """
const { name, shapes, theta, runs } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const made = runs.map(({ hypers, grads }) => {
  const model = optgen.model(optgen.rules[name], shapes, theta, hypers);
  return grads.map((g) => { model.step(g); return [...model.theta]; });
});
console.log(JSON.stringify(made));
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node, which runs JavaScript")


def test_a_rule_in_javascript_does_what_its_kernel_does(generated):
    rng = np.random.default_rng(3)
    theta = [np.asarray(rng.standard_normal(shape)) for shape in SHAPES]
    grads = [[np.asarray(rng.standard_normal(shape)) for shape in SHAPES] for _ in range(STEPS)]
    settings = [{}, different(generated.module.PROGRAM)]
    given = {
        "name": generated.optimizer.name,
        "shapes": SHAPES,
        "theta": flat(theta),
        "runs": [{"hypers": hypers, "grads": list(map(flat, grads))} for hypers in settings],
    }
    program = "\n".join([LIBRARY, rule(generated.optimizer), RUNS])
    done = subprocess.run([NODE, "-e", program], input=json.dumps(given), capture_output=True, text=True, check=True)
    for hypers, made in zip(settings, json.loads(done.stdout), strict=True):
        params = [values.copy() for values in theta]
        optimizer = generated.kind(params, **hypers)
        for step, (gradient, found) in enumerate(zip(grads, made, strict=True)):
            optimizer.step(gradient)
            np.testing.assert_allclose(found, flat(params), rtol=1e-9, atol=1e-12, err_msg=f"step {step + 1}, {hypers}")


def flat(arrays):
    """All elements, one after another."""
    return np.concatenate([values.ravel() for values in arrays]).tolist()
