"""What a rule does to some parameters of a model on a CPU: their states, and the tables that kernels go by.

The states belong to torch: each is a tensor in ``optimizer.state``, under torch's own name where torch has one. A share
is made from them, and made anew when anything but a gradient has moved.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from optgen.runtime.core import arrays, beginning
from optgen.runtime.core.cohorts import Cohort, Coming, cohorts_of, coming
from optgen.runtime.core.evaluation import evaluated
from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.core.reduced import Reduced, allocated, cuts_of, filled, had_otherwise, views
from optgen.runtime.core.storage import HALF, Storage, Wanted, beside, computed_for
from optgen.runtime.core.table import CHUNK, Cuts
from optgen.runtime.core.turn import run
from optgen.runtime.cpu.launch import SERIAL_BELOW
from optgen.runtime.cpu.tensors import ODD
from optgen.runtime.cpu.visited import Kernels, visited
from optgen.torch.body import Body, Trained, body_of, refuse_without_memory
from optgen.torch.sharded import adding_parts, divided_as, gradient_here, here, is_distributed, refuse_parts
from optgen.torch.spelling import Spelling
from optgen.torch.tensors import DTYPE, FORMAT, TensorMemory, as_numbers, dtype_as, empty_as

Hypers = Sequence[Mapping[str, float]]
"""The hyperparameters of each row of scalars."""
STEP = "step"
"""The key of the number of steps that a parameter has taken."""


class Share:
    """The states of some parameters, by their numbers, that follow one rule, and what steps visit.

    Making one makes the states, called as the spelling says; each row has hyperparameters.
    """

    chunk: ClassVar[int] = CHUNK
    on_threads: ClassVar[bool] = True
    """Whether its kernels may run on the threads of the CPU."""

    def __init__(
        self, program: Program, wanted: Wanted, named: Spelling, model: Trained, mine: Sequence[int], *, hypers: Hypers
    ) -> None:
        self.program, self.mine = program, tuple(mine)
        self._wanted, self._named, self._model = wanted, named, model
        kinds = set(program.kinds.values())
        has_lines = bool(kinds & {"row", "column", "part"})
        self._bodies = {k: self._placed(k, body_of(model.parts[k], k, named.title, has_lines=has_lines)) for k in mine}
        for k, body in self._bodies.items():
            wanted.refuse_wider(body.format, f"params[{k}]")
            if body.like.is_complex() and "bfloat16" in wanted.store.values():
                raise ValueError(f"store: params[{k}] is complex, and PyTorch has no complex bfloat16; expected 'f16'")
        refuse_parts(program, ((k, model.params[k]) for k in mine), by_chance=wanted.rounding == "stochastic")
        self._combine = adding_parts(program, {k: model.params[k] for k in mine}, as_matrices=wanted.as_matrices)
        begun = {k for k in mine if self._has_begun(k)}
        shapes = [self._shape(k) for k in range(len(model.params))]
        self._sizes = [int(np.prod(shape)) for shape in shapes]
        self._elements_in_all = sum(self._sizes)
        self._are_mine = np.isin(np.arange(len(shapes)), mine)
        self._bytes = np.zeros(len(shapes), np.int64)
        for k, body in self._bodies.items():
            self._bytes[k] = body.numbers.numel() * body.numbers.element_size()
        self._copies = [k for k, body in self._bodies.items() if body.is_copy]
        first = {row: program.starting(hypers[row]) for row in {model.row[k] for k in mine}}
        of = {k: first[model.row[k]] for k in mine}
        each = {name: {k: self._of_elements(name, k, of[k][j]) for k in mine} for j, name in enumerate(program.states)}
        self._elements = each
        self._rest = {k: self._beside(k) for k in mine if wanted.rest and self._bodies[k].format in HALF}
        self._reduced = self._reduced_values(shapes, of) if program.has_reduced else None
        self._columns = self._addressed()
        self._own_formats = {k: self._bodies[k].format for k in mine}
        self._formats = self._own_formats
        """Of the gradients."""
        self._pointed_at = np.full(len(shapes), ODD, np.int64)
        """Where they were."""
        self._given = b""
        """The same as it was told, if none of them needed a closer look."""
        self._followed = [(k, its) for k in self._following() for its in {model.params[k], model.parts[k]}]
        self._versions: list[int] = []
        """How often these had been written to, once that is known."""
        self._visit: Any = None
        """What a step visits, if it is known."""
        self._kernels = Kernels(self._combine)
        self.cohorts = self._counted({k: its[len(its) - len(program.numbers) :] for k, its in of.items()}, begun)
        self._flat = self._kept(hypers)
        self._extents = self._apart()
        self._arriving, self._leaving = self._copied()

    # What there is ---------------------------------------------------------------------------------------------------

    def _placed(self, k: int, body: Body) -> Body:
        """A parameter as kernels see it, in memory that they can reach."""
        del k
        return body

    def _shape(self, k: int) -> tuple[int, ...]:
        """The shape of a parameter, of nothing for one that follows another rule."""
        return tuple(self._bodies[k].numbers.shape) if k in self._bodies else (0,)

    def _whole(self, k: int) -> tuple[int, ...]:
        """The shape of a parameter of which there may be a part here."""
        its, param = self._shape(k), self._model.params[k]
        return (*param.shape, *its[param.dim() :]) if k in self._bodies else its

    def _state(self, k: int) -> Mapping[str, Any]:
        """What is kept of a parameter."""
        param = self._model.params[k]
        its: Mapping[str, Any] = self._model.state.get(param, {})
        return {key: here(value) for key, value in its.items()} if is_distributed(param) else its

    def _has_begun(self, k: int) -> bool:
        """Whether there are states of elements of a parameter."""
        its, dimensions = self._state(k), self._bodies[k].like.dim()
        return any(its.get(self._named.state(name, dimensions)) is not None for name in self.program.states)

    def _keep(self, k: int, key: str, value: Any, kind: str = "element") -> None:
        """Keep a tensor with a value for each element of a parameter, or each row, say."""
        param = self._model.params[k]
        self._model.state[param][key] = divided_as(param, value, kind, as_matrices=self._wanted.as_matrices)

    def _of_elements(self, name: str, k: int, value: float) -> Any:
        """A state that has a value for each element: the tensor that there is, if it can be used as it is."""
        body, its = self._bodies[k], self._state(k)
        key = self._named.state(name, body.like.dim())
        old = its.get(key)
        known = FORMAT.get(as_numbers(old).dtype) if isinstance(old, torch.Tensor) else None
        if known == "float64" != computed_for(body.format):  # saved beside a parameter of more bits
            known = "float32"
        dtype = dtype_as(body.like, self._wanted.store.get(name, known or body.format))
        if isinstance(old, torch.Tensor) and old.dtype == dtype and body.fits(old) and not old.requires_grad:
            return old
        new = empty_as(body.like, dtype)
        if old is None:
            as_numbers(new).fill_(value)
        elif not isinstance(old, torch.Tensor) or old.shape != new.shape:
            got = f"shape {tuple(old.shape)}" if isinstance(old, torch.Tensor) else type(old).__name__
            raise ValueError(f"state of params[{k}], {key!r}: expected a tensor of shape {tuple(new.shape)}, got {got}")
        else:
            new.copy_(old.detach())
        self._keep(k, key, new)
        return new

    def _beside(self, k: int) -> Any:
        """What there is beside a parameter of 16 bits."""
        body, its, name = self._bodies[k], self._state(k), self._wanted.rest
        param = self._model.parts[k].detach()
        dtype = dtype_as(body.like, "float32" if name == "master" else body.format)
        old = its.get(name)
        if isinstance(old, torch.Tensor) and old.dtype == dtype and body.fits(old):
            new = old
        else:
            new = empty_as(body.like, dtype)
            self._keep(k, name, new)
            if isinstance(old, torch.Tensor) and old.shape == new.shape:
                new.copy_(old)
            elif name == "master":
                new.copy_(param)
            else:
                new.zero_()
        if name == "master":
            _take_over(as_numbers(new), as_numbers(param.to(new.device)))
        return new

    def _reduced_values(self, shapes: Sequence[tuple[int, ...]], of: Mapping[int, tuple[float, ...]]) -> Reduced:
        """What varies over less than elements, of which each parameter keeps views."""
        program, seen = self.program, self._wanted.seen
        cuts, states = cuts_of(program, list(map(seen, shapes)), self.chunk).of_families(self._model.row), {}
        if self._combine:
            cuts = cuts.as_parts([seen(self._whole(k)) for k in range(len(shapes))])
        for j, (name, kind) in enumerate(program.reduced_states.items(), len(program.states)):
            values = np.array([of[k][j] if k in of else 0.0 for k in range(len(shapes))], np.float64)
            states[name] = filled(kind, values if kind != "model" else values[list(of)], cuts)
        reduced = self._allocated(cuts, states)
        for name, kind in program.reduced_states.items():
            of_each = views(kind, reduced.arrays[name], shapes, cuts, as_matrices=self._wanted.as_matrices)
            for k in reversed(self.mine):  # of a value of the model that of the first parameter holds
                key = self._named.state(name, len(shapes[k]))
                if key:
                    its = of_each[k]
                    self._adopt(k, key, torch.from_numpy(its) if isinstance(its, np.ndarray) else its, kind)
        return reduced

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> Reduced:
        """Make room for reduced values, of which the states are given."""
        return allocated(self.program, cuts, states)

    def _adopt(self, k: int, key: str, new: Any, kind: str) -> None:
        """Let a tensor be a state, with the values of the one that was."""
        old = self._state(k).get(key)
        if isinstance(old, torch.Tensor):
            if old.shape != new.shape:
                more = had_otherwise(kind, self._shape(k), tuple(old.shape), as_matrices=self._wanted.as_matrices)
                what = f"expected a tensor of shape {tuple(new.shape)}, got {tuple(old.shape)}{more}"
                raise ValueError(f"state of params[{k}], {key!r}: {what}")
            new.copy_(old.detach())
        elif isinstance(old, int | float):
            new.fill_(old)
        self._keep(k, key, new, kind)

    def _addressed(self) -> Array:
        """Where each slot of each parameter begins."""
        program = self.program
        bodies = {k: body.numbers for k, body in self._bodies.items()}
        computed = {k: DTYPE[computed_for(body.format)] for k, body in self._bodies.items()}
        self._scratch = [{k: empty_as(bodies[k], computed[k]) for k in self.mine} for _ in program.scratch]
        rests = [self._rest] if self._wanted.rest else []
        slots = (bodies, {}, *self._elements.values(), *self._scratch, *rests)
        each = range(len(self._model.params))
        return np.array([[slot[k].data_ptr() if k in slot else 0 for k in each] for slot in slots], np.int64)

    def _apart(self) -> arrays.Extents:
        """The memory of parameters and states, which share none."""
        found = [(body.numbers, f"params[{k}]") for k, body in self._bodies.items()]
        found += [(x, f"state of params[{k}], {n!r}") for n, its in self._elements.items() for k, x in its.items()]
        starts = np.array([tensor.data_ptr() for tensor, _ in found], np.int64)
        sizes = np.array([tensor.numel() * tensor.element_size() for tensor, _ in found], np.int64)
        return arrays.Extents(starts, sizes, [name for _, name in found])

    # What is counted -------------------------------------------------------------------------------------------------

    def _counted(self, initial: Mapping[int, tuple[float, ...]], begun: Container[int]) -> tuple[Cohort, ...]:
        """The parameters by their rows, steps and numbers, as they are kept; some have had states before."""
        named, counts, numbers = self._named, [], []
        keys = named.numbers(self.program)
        for k in self.mine:
            its = self._state(k)
            count = int(float(its.get(STEP, 0))) if named.counts else int(k in begun)
            counts.append(count)
            kept = tuple(float(its[key]) for key in keys if key in its)
            whole = keys and len(kept) == len(keys)
            numbers.append(named.ours(count, kept) if whole else initial[k] if keys else ())
        rows = [self._model.row[k] for k in self.mine]
        found = cohorts_of(rows, counts, numbers)
        return tuple(cohort._replace(members=tuple(self.mine[j] for j in cohort.members)) for cohort in found)

    def _kept(self, hypers: Hypers) -> dict[str, Array]:
        """What is counted: a row of which each parameter keeps views, and one of which nobody knows."""
        scalar = np.float64 if torch.get_default_dtype() == torch.float64 else np.float32
        kept = {}
        for key in self._counted_by:
            kept[key] = np.zeros((2, len(self._model.params)), scalar if key == STEP else np.float64)
            shared = torch.from_numpy(kept[key][0])
            for k in self.mine:
                self._keep(k, key, shared[k], "tensor")
        run(self._noting(self.cohorts, hypers, kept))
        return kept

    @property
    def _counted_by(self) -> tuple[str, ...]:
        """The keys of what is counted."""
        return (*[STEP] * self._named.counts, *self._named.numbers(self.program))

    def _noting(self, cohorts: Sequence[Cohort], hypers: Hypers, kept: Mapping[str, Array]) -> list[Call]:
        """The calls that note what is counted of each parameter."""
        calls: list[Call] = []
        for group, t, numbers, members in cohorts:
            values = (*[float(t)] * self._named.counts, *self._named.theirs(t, numbers, hypers[group]))
            pairs = zip(kept.values(), values, strict=True)
            if len(cohorts) == 1:
                calls += [partial(its.fill, value) for its, value in pairs]
            else:
                where = slice(None), list(members)
                calls += [partial(its.__setitem__, where, value) for its, value in pairs]
        return calls

    @property
    def is_as_kept(self) -> bool:
        """Whether nobody has written to what is counted."""
        return all(shared.tobytes() == expected.tobytes() for shared, expected in self._flat.values())

    def forget(self) -> bool:
        """Let go of states of parameters that have taken no step, if that there are such says that they have.

        Whether there were any.
        """
        late = [k for cohort in self.cohorts if not cohort.t for k in cohort.members] if not self._named.counts else []
        for k in late:
            its, dimensions = self._model.state.get(self._model.params[k], {}), self._bodies[k].like.dim()
            for name in self.program.states:
                its.pop(self._named.state(name, dimensions), None)
        return bool(late)

    @property
    def uses_threads(self) -> bool:
        """Whether its kernels may run on the threads of the CPU."""
        return self.on_threads and self._elements_in_all >= SERIAL_BELOW

    @property
    def t(self) -> int:
        """The most steps that one of the parameters has taken."""
        return max(cohort.t for cohort in self.cohorts)

    # A step ----------------------------------------------------------------------------------------------------------

    def calls(self, starts: Array, absent: frozenset[int], hypers: Hypers, t: int) -> list[Call]:
        """What step t does, in order; what of it needs memory is done by then.

        Of all parameters of the optimizer there is where the gradient lies, `ODD` if it needs a closer look, and which
        are left out, as they have none. Chances of rounding follow from t. If it raises, nothing has changed.
        """
        absent = absent.intersection(self.mine) if absent else absent
        step = coming(self.program, self.cohorts, list(hypers), absent)
        if not step.taking:
            return []
        self._follow()
        starts, used = self._pointed(starts)
        self._begin(step, hypers)
        kernels = self._launched(step, starts, t)
        return [
            *self._arriving,
            *kernels,
            *self._leaving,
            *self._noted(step, hypers),
            *([partial(_nothing, used)] if used else []),  # which keeps copies of gradients
        ]

    def _copied(self) -> tuple[list[Call], list[Call]]:
        """What brings parameters to the copies of them that kernels see, and what brings them back."""
        if not self._copies:
            return [], []
        pairs = (
            [self._bodies[k].numbers for k in self._copies],
            [as_numbers(self._model.parts[k]) for k in self._copies],
        )
        return [partial(torch._foreach_copy_, *pairs)], [partial(torch._foreach_copy_, *reversed(pairs))]

    def _launched(self, step: Coming, starts: Array, t: int) -> list[Call]:
        """The kernels of a step."""
        if self._visit is None or [cohort.members for cohort in step.taking] != self._visit.members:
            self._visit = visited(
                self.program,
                step.taking,
                self._sizes,
                self._columns,
                self._storages(),
                reduced=self._reduced,
                rests=int(bool(self._wanted.rest)),
                firsts=self._model.firsts,
            )
        return self._kernels.calls(self.program, self._visit, step, starts, t, self._wanted.rounding_seed)

    def evaluated(self) -> dict[int, Any]:
        """The parameters to evaluate."""
        program, memory, found = self.program, TensorMemory(), {}
        for cohort in self.cohorts:
            numbers = dict(zip(program.numbers, map(np.array, cohort.numbers), strict=True))
            for k in cohort.members:
                body = self._bodies[k]
                reduced = {n: self._state(k).get(self._named.state(n, body.like.dim())) for n in program.reduced_states}
                states = {name: as_numbers(its[k]) for name, its in self._elements.items()}
                known: dict[str, Any] = {"theta": self._theta(k), **states, **reduced, **numbers}
                new = empty_as(body.like, body.like.dtype)
                evaluated(program, memory, [known[name] for name in program.evaluated], as_numbers(new))
                found[k] = divided_as(self._model.params[k], new.to(self._model.parts[k].device))
        return found

    def _theta(self, k: int) -> Any:
        """A parameter, where its states are."""
        return as_numbers(self._model.parts[k])

    @staticmethod
    def check(results: Sequence[Any]) -> None:
        """Complain of what the calls of a step returned: what fails on a CPU raises."""

    def _following(self) -> Iterable[int]:
        """The parameters of which there is more than what the kernels are given."""
        return self._rest

    def remember(self) -> None:
        """Remember how often parameters have been written to of which there is more."""
        self._versions = self._versions_now()

    def _versions_now(self) -> list[int]:
        return [its._version for _, its in self._followed]  # noqa: SLF001 - torch has no other

    def _follow(self) -> None:
        """What somebody else has written to a parameter holds, not what there is of it besides."""
        now = self._versions_now()
        if self._versions and self._versions != now:
            for (k, _), before, after in zip(self._followed, self._versions, now, strict=True):
                if before != after:
                    self._take_over(k)
            self._versions = now

    def _take_over(self, k: int) -> None:
        """Let what is beside a parameter follow from what it is now."""
        if self._wanted.rest == "master":
            _take_over(as_numbers(self._rest[k]), self._theta(k))
        else:
            self._rest[k].zero_()

    def _gradient(self, k: int, grad: Any) -> Any:
        """A gradient as kernels take it."""
        body, grad = self._bodies[k], gradient_here(k, grad, self._model.params[k])
        if grad.layout != torch.strided:
            raise RuntimeError(f"params[{k}]: {self._named.title} does not support sparse gradients; make them dense")
        device = self._model.parts[k].device
        if grad.shape != body.like.shape or grad.device != device:
            there = f"{tuple(body.like.shape)} on {device}"
            raise ValueError(f"grads[{k}]: expected shape {there}, got {tuple(grad.shape)} on {grad.device}")
        if grad.is_complex() != body.like.is_complex():
            raise TypeError(f"grads[{k}]: expected {body.like.dtype}, got {grad.dtype}")
        refuse_without_memory(grad, f"grads[{k}]")
        grad = grad.detach().resolve_conj().resolve_neg()
        is_accepted = FORMAT.get(as_numbers(grad).dtype) in beside(body.format)
        if not (is_accepted and body.fits(grad)):
            grad = self._brought(k, grad, grad.dtype if is_accepted else body.like.dtype)
        return as_numbers(grad)

    def _brought(self, k: int, grad: Any, dtype: Any) -> Any:
        """A gradient in memory that kernels can reach, in the order of its parameter."""
        return empty_as(self._bodies[k].like, dtype).copy_(grad)

    def _fetched(self, starts: Array) -> dict[int, Any]:
        """Gradients of parameters that are copies, brought to where kernels reach them, and pointed at.

        They lie in the order of their parameters; what does not lie in that of the copies needs a closer look.
        """
        starts[self._copies] = np.where(starts[self._copies] == 0, 0, ODD)
        return {}

    def _pointed(self, given: Array) -> tuple[Array, dict[int, Any]]:
        """Where the gradients lie, 0 for those that are not there, and those that had to be looked at."""
        told = given.tobytes()
        if told == self._given:
            return self._pointed_at, {}
        starts = np.where(self._are_mine, given, 0)
        used, sizes, formats = self._fetched(starts) if self._copies else {}, self._bytes, self._own_formats
        is_odd = starts == ODD
        if np.count_nonzero(is_odd):
            odd = np.flatnonzero(is_odd).tolist()
            looked_at = {k: self._gradient(k, self._model.params[k].grad) for k in odd}
            starts[odd] = [grad.data_ptr() for grad in looked_at.values()]
            sizes = sizes.copy()
            sizes[odd] = [grad.numel() * grad.element_size() for grad in looked_at.values()]
            formats = {**formats, **{k: FORMAT[grad.dtype] for k, grad in looked_at.items()}}
            used |= looked_at
        overlap = self._extents.overlap(starts, sizes)
        if overlap:
            k, other = overlap
            raise ValueError(f"grads[{k}] overlaps {other} in memory: expected tensors that share none")
        if formats is not self._formats and formats != self._formats:
            self._formats, self._visit = formats, None
        self._pointed_at, self._given = starts, b"" if used else told
        return starts, used

    def _storages(self) -> list[Storage]:
        """How the slots of each parameter are stored; those of others, which are not visited, as some of these."""
        found, column = {}, len(self.program.slots)
        for k, body in self._bodies.items():
            states = {name: FORMAT[as_numbers(its[k]).dtype] for name, its in self._elements.items()}
            scratch = dict.fromkeys(self.program.scratch, computed_for(body.format))
            formats = {"theta": body.format, "g": self._formats[k], **states, **scratch}
            found[k] = self._wanted.storage(formats, column)
        any_of_them = next(iter(found.values()))
        return [found.get(k, any_of_them) for k in range(len(self._model.params))]

    def _begin(self, step: Coming, hypers: Hypers) -> None:
        """Let states that start from theta do so, for parameters that have taken no step."""
        program = self.program
        if not (program.copies or program.begun):
            return
        late = [cohort for cohort in step.taking if cohort.t == 0]
        if not late:
            return
        thetas = [body.numbers for body in self._bodies.values()]
        for k in self._copies:
            self._bodies[k].numbers.copy_(as_numbers(self._model.parts[k]))
        states: dict[str, list[Any]] = {n: list(map(as_numbers, its.values())) for n, its in self._elements.items()}
        for name, kind in program.reduced_states.items():
            if kind != "model":
                states[name] = [self._state(k)[self._named.state(name, self._bodies[k].like.dim())] for k in self.mine]
            elif all(cohort.t == 0 for cohort in self.cohorts):
                states[name] = [self._state(self.mine[0])[name]]
        at = {k: j for j, k in enumerate(self.mine)}
        for cohort in late:
            only = [at[k] for k in cohort.members]
            now, seen = hypers[cohort.group], self._wanted.seen
            beginning.fill(program, TensorMemory(), now, thetas, states, only=only, seen=seen)

    def _noted(self, step: Coming, hypers: Hypers) -> list[Call]:
        """What counts a step."""
        noting = self._noting(step.cohorts, hypers, self._flat)
        return [*noting, partial(object.__setattr__, self, "cohorts", step.cohorts)]


def _take_over(master: Any, param: Any) -> None:
    """Let a copy in more bits be what a parameter says, where it is not what is rounded to that."""
    torch.where(master.to(param.dtype) == param, master, param.to(master.dtype), out=master)


def _nothing(_: Any) -> None:
    """Do nothing."""
