"""Those who train for others take these optimizers in place of torch's, and go on from their checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

KINDS = ["AdamW", "NAdam"]
pytestmark = pytest.mark.filterwarnings("default")  # what others warn of is theirs


@pytest.fixture
def lightning(torch: Any) -> Any:
    """Lightning, in the dtype that most train in."""
    torch.set_default_dtype(torch.float32)
    return pytest.importorskip("lightning", exc_type=ImportError)


@pytest.fixture
def transformers(torch: Any) -> Any:
    """Hugging Face Transformers, likewise, with what its trainer takes."""
    torch.set_default_dtype(torch.float32)
    pytest.importorskip("accelerate", exc_type=ImportError)
    return pytest.importorskip("transformers", exc_type=ImportError)


def drawn(torch: Any) -> Any:
    torch.manual_seed(0)
    x = torch.randn(64, 8)
    return x, x.sum(1, keepdim=True)


def weight(torch: Any, model: Any) -> Any:
    return model.net.weight.detach().clone()


@pytest.mark.parametrize("name", KINDS)
def test_lightning(name: str, torch: Any, ours: Any, lightning: Any, tmp_path: Path) -> None:
    class Net(lightning.LightningModule):
        def __init__(self, kind: Any) -> None:
            super().__init__()
            self.net, self.kind = torch.nn.Linear(8, 1), kind

        def training_step(self, batch: Any, _: int) -> Any:
            return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            opt = self.kind(self.parameters(), lr=1e-2)
            return {"optimizer": opt, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)}

    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*drawn(torch)), batch_size=16)

    def trained(kind: Any, epochs: int, start: Any = None) -> tuple[Any, Any]:
        torch.manual_seed(1)
        model = Net(kind)
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            gradient_clip_val=1.0,
            accumulate_grad_batches=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, batches, ckpt_path=start)
        return trainer, weight(torch, model)

    trainer, half = trained(getattr(ours, name), 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, whole = trained(getattr(ours, name), 4)
    _, resumed = trained(getattr(ours, name), 4, tmp_path / "half.ckpt")
    _, theirs = trained(getattr(torch.optim, name), 4)
    assert not half.equal(whole)
    assert resumed.equal(whole)
    torch.testing.assert_close(whole, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_transformers(name: str, torch: Any, ours: Any, transformers: Any, tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(8, 1)

        def forward(self, x: Any, labels: Any) -> Any:
            found = self.net(x)
            return {"loss": torch.nn.functional.mse_loss(found, labels), "logits": found}

    data = [{"x": x, "labels": y} for x, y in zip(*drawn(torch), strict=True)]

    def trained(kind: Any, start: Any = None) -> Any:
        torch.manual_seed(1)
        model = Net()
        arguments = transformers.TrainingArguments(
            str(tmp_path),
            num_train_epochs=4,
            per_device_train_batch_size=16,
            use_cpu=True,
            weight_decay=0.1,
            report_to=[],
            save_steps=6,
            disable_tqdm=True,
        )
        given = kind, {"lr": 1e-2}
        transformers.Trainer(model, arguments, train_dataset=data, optimizer_cls_and_kwargs=given).train(start)
        return weight(torch, model)

    whole = trained(getattr(ours, name))
    resumed = trained(getattr(ours, name), str(tmp_path / "checkpoint-6"))
    theirs = trained(getattr(torch.optim, name))
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
    torch.testing.assert_close(whole, theirs, rtol=1e-5, atol=1e-6)
