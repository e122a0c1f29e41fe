"""``TorchOptimizer``: a rule as an optimizer of PyTorch."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from inspect import Parameter, Signature, signature
from itertools import chain
from operator import is_
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
import torch

from optgen.runtime.core.program import OPTIONS, Array, Call, Program
from optgen.runtime.core.storage import Wanted, wanted
from optgen.runtime.core.turn import TURN, run, taken
from optgen.runtime.cpu.tensors import ODD
from optgen.torch.asked import Asked, program_of
from optgen.torch.body import Trained
from optgen.torch.families import BETAS, Family, Group, Spelled, theirs
from optgen.torch.host import HostShare
from optgen.torch.kept import Kept, Writing
from optgen.torch.options import FLAGS, completed, hyper_of, is_settled, with_betas
from optgen.torch.sharded import here, refuse_parts
from optgen.torch.share import Share
from optgen.torch.spelling import Spelling
from optgen.torch.tensors import HALVES
from optgen.torch.watch import Watch, facts, watching

_TARGETS = {"cpu": "cpu", "cuda": "cuda"}


class TorchOptimizer(torch.optim.Optimizer):
    """An optimizer of PyTorch whose step is one launch of a fused kernel for all parameters.

    Everything that `torch.optim.Optimizer` has is there: parameter groups, hooks, state dicts, closures; every
    scheduler of ``torch.optim.lr_scheduler`` works. Parameters are updated in place, in their own strides; those
    without a gradient are left out. Any thread may step; gradients must stay where they are while one does.

    Parameters
    ----------
    params : iterable of tensor, of (name, tensor) or of dict
        The parameters, or groups of them.
    *args, **hypers : object
        Hyperparameters, by the names and in the order of torch where it has the optimizer. ``beta1`` and its like may
        be given in place of ``betas``. ``foreach`` and ``fused`` change nothing: a step is always fused.
    maximize : bool, default False
        Whether to go up the gradient.
    store : dict of str to dtype, optional
        In what to store states, ``{"exp_avg": "bf16"}`` say; the others are stored as their parameter is.
    rounding : str, default "nearest"
        How what is stored in fewer bits than it is computed in is rounded: to the ``"nearest"``, or ``"stochastic"``.
    rounding_seed : int, default 0
        What the chances follow from, beside the step and the place of the element.
    master : bool, default False
        Whether to keep a copy in float32 of parameters of 16 bits, and to compute with that.
    kahan : bool, default False
        Whether to keep beside parameters of 16 bits what they lack, in 16 bits too, and to compute with the sum.
    as_matrices : bool, default False
        Whether a tensor of more than two dimensions is seen as a matrix of a row for each place in the first, as most
        rules that look at rows mean a convolution; else as a stack of matrices, those of its last two.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If an argument is not as expected, as by torch's optimizer of this name.
    """

    rule: ClassVar[Asked]
    """What it computes, if it is none of torch's."""
    family: ClassVar[Family | None] = None
    """What of torch's it is."""

    def __init__(self, params: Any, *args: Any, **given: Any) -> None:
        options = {name: given.pop(name) for name in OPTIONS if name in given}
        self._named = Spelling(type(self).__name__, self.family)
        defaults = self._defaults(args, given)
        self._watched: _Watched | None = None
        self._steps, self._on_host = 0, False
        self._made_of: dict[int, Any] = {}
        self._under_way: dict[object, None] = {}
        self._options = self._checked_options(options, defaults)
        super().__init__(params, defaults)
        dtypes = {p.dtype for group in self.param_groups for p in group["params"]}
        if self._options.rest and not dtypes & HALVES:
            name = self._options.rest
            raise ValueError(f"{name}: expected parameters in bfloat16 or float16, for others have all that they need")

    # What is given ---------------------------------------------------------------------------------------------------

    @classmethod
    def _defaults(cls, args: Sequence[Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Every option of a group, as it is unless the group says otherwise."""
        named = cls._signature()
        given = with_betas(given, {name: its.default for name, its in named.parameters.items()})
        if cls.family is not None:
            probe = theirs(cls.__name__)([torch.zeros(())], *args, **given)  # refuses what torch refuses
            found: dict[str, Any] = probe.defaults
        else:
            try:
                bound = named.bind(*args, **given)
            except TypeError as error:
                names = [*named.parameters, *OPTIONS]
                raise TypeError(f"{cls.__name__}: {error}; expected params and some of {', '.join(names)}") from None
            bound.apply_defaults()
            found = dict(bound.arguments)
        return found

    @classmethod
    def _signature(cls) -> Signature:
        """What it is told beside parameters, how slots are stored and how tensors are seen."""
        if cls.family is not None:
            its = signature(theirs(cls.__name__).__init__)
            return its.replace(parameters=list(its.parameters.values())[2:], return_annotation=Signature.empty)
        program = program_of(cls.rule, "cpu")
        kind = Parameter.POSITIONAL_OR_KEYWORD
        spelled, names = cls._spelled(program), {}
        betas = tuple(program.hypers[name].default for name in spelled if name in program.hypers)
        for name, hyper in program.hypers.items():
            key, index = spelled.get(name, (name, None))
            names[key] = hyper.default if index is None else betas
        found = [Parameter(name, kind, default=default) for name, default in names.items()]
        return Signature([*found, *(Parameter(n, Parameter.KEYWORD_ONLY, default=v) for n, v in FLAGS.items())])

    @classmethod
    def _spelled(cls, program: Program) -> Spelled:
        """The keys of hyperparameters in a group."""
        if cls.family is not None:
            return cls.family.hypers
        own = [name for name in BETAS if name in program.hypers]
        plain = all(program.hypers[name].default is not None for name in own)
        return BETAS if plain and own == list(BETAS)[: len(own)] and len(own) > 1 else {}

    def _checked_options(self, options: Mapping[str, Any], defaults: Group) -> Wanted:
        """How slots are to be stored; states may be given by torch's names."""
        program = self.program_of_group(defaults)
        ours = {self._named.state(name, 2): name for name in program.states}
        store = options.get("store")
        if isinstance(store, Mapping):
            options = {**options, "store": {ours.get(name, name): its for name, its in store.items()}}
        return wanted(program, **options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train further parameters too, with hyperparameters of their own; see `torch.optim.Optimizer`."""
        if isinstance(param_group, dict):
            param_group = with_betas(param_group, self.defaults)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._refuse_options(group)
            self._hypers_of(group, torch.float32, self._known_of(group))
            first = sum(len(its["params"]) for its in self.param_groups[:-1])
            numbered = enumerate(group["params"], first)
            refuse_parts(self.program_of_group(group), numbered, by_chance=self.rounds_by_chance)
        except Exception:
            self.param_groups.pop()
            raise
        self._watched = None

    def _refuse_options(self, group: Group) -> None:
        known = {*self.defaults, "params", "param_names"}
        for name in group.keys() - known:
            if name in OPTIONS:
                raise ValueError(f"{name}: expected it for all groups, among the arguments of {type(self).__name__}")
        if group.get("differentiable"):
            raise RuntimeError("differentiable=True: a fused kernel has no gradient; use torch.optim for that")
        if group.get("capturable"):
            raise RuntimeError(
                "capturable=True: step() counts on the host, so it cannot be captured; the classes of"
                " optgen.generated.cuda can, by advance() and launch()"
            )

    # What it computes ------------------------------------------------------------------------------------------------

    def _known_of(self, group: Group) -> dict[Any, Any]:
        """What has been made of a group; empty unless all its options are the very ones of then, and cannot change."""
        options, last = [*group, *group.values()], self._made_of.get(id(group))
        if last is not None and len(options) == len(last[0]) and all(map(is_, options, last[0])):
            return last[1]  # type: ignore[no-any-return]
        found: dict[Any, Any] = {}
        if all(map(is_settled, (group[key] for key in group.keys() - {"params", "param_names"}))):
            self._made_of[id(group)] = options, found
        return found

    def _rule(self, group: Group, known: dict[Any, Any]) -> Asked:
        if "rule" not in known:
            if self.family is None:
                rule = self.rule
            else:
                name, wrappers = self.family.rule(group)
                rule = Asked(name, wrappers=wrappers)
            ascending = (*rule.wrappers, "ascending")
            known["rule"] = rule._replace(wrappers=ascending) if group.get("maximize") else rule
        return known["rule"]  # type: ignore[no-any-return]

    def program_of_group(self, group: Group) -> Program:
        """What a group asks for, as it is computed on a CPU."""
        return program_of(self._rule(group, self._known_of(group)), "cpu")

    @property
    def rounds_by_chance(self) -> bool:
        """Whether what is stored is rounded by chance."""
        return self._options.rounding == "stochastic"

    @property
    def steps_on_host(self) -> bool:
        """Whether states are in the memory of the host and steps run there, wherever parameters are."""
        return self._on_host

    @steps_on_host.setter
    def steps_on_host(self, value: bool) -> None:
        self._on_host, self._watched = value, None

    def _hypers_of(self, group: Group, dtype: Any, known: dict[Any, Any]) -> dict[str, float]:
        """The hyperparameters of a group, of which something is known, for parameters of a dtype."""
        if dtype not in known:
            known[dtype] = self._hypers_made_of(group, dtype)
        return known[dtype]  # type: ignore[no-any-return]

    def _hypers_made_of(self, group: Group, dtype: Any) -> dict[str, float]:
        program = self.program_of_group(group)
        spelled, follows = self._spelled(program), self.family.follows if self.family else {}
        found, numbers = {}, Counter(spelled.get(name, (name, None))[0] for name in program.hypers)
        for name in program.hypers:
            key, index = spelled.get(name, (name, None))
            value = hyper_of(group, key, index, number=numbers[key])
            found[name] = follows[name](dtype) if value is None and name in follows else value
        return dict(program.at(1, program.completed(found)))

    # A step ----------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and the gradients.

        Returns
        -------
        object
            What the closure returned; None without one.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If a gradient, a parameter or a hyperparameter is not as expected; nothing has changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with TURN, torch.set_grad_enabled(mode=False):  # in half the time of `no_grad`
            if not getattr(self, "found_inf", None):  # which a scaler of gradients may say
                try:
                    taken(self._under_way, self._advance)
                finally:
                    self._forget()
        return loss

    def _advance(self, taking_it: Call) -> None:
        params = list(chain.from_iterable(group["params"] for group in self.param_groups))
        scale = getattr(self, "grad_scale", None)
        if scale is not None:
            torch._foreach_div_([here(param.grad) for param in params if param.grad is not None], scale)
        known = list(map(self._known_of, self.param_groups))
        watched, starts, present = self._seen(params, known)
        is_whole = np.count_nonzero(present) == len(params)
        absent = frozenset() if is_whole else frozenset(np.flatnonzero(~present).tolist())
        hypers = self._hypers(watched.rows, known)
        shares = watched.shares
        threads = _threads_of_torch() if any(share.uses_threads for share in shares) else nullcontext()
        with threads:  # to compile a kernel starts threads, too
            calls = [call for share in shares for call in share.calls(starts, absent, hypers, self._steps + 1)]
            results = run([taking_it, *calls, partial(object.__setattr__, self, "_steps", self._steps + 1)])
        torch.autograd.graph.increment_version(
            [p for k, p in enumerate(params) if k not in absent] if absent else params
        )
        for share in shares:
            share.check(results)
            share.remember()

    def _forget(self) -> None:
        """Let nothing be kept from which it would follow that a parameter has taken a step which has taken none."""
        if self._watched and any([share.forget() for share in self._watched.shares]):  # noqa: C419 - all of them
            self._watched = None

    def _seen(self, params: list[Any], known: list[dict[Any, Any]]) -> tuple[_Watched, Array, Array]:
        """What steps go by, made anew where anything has changed but gradients; where these are, which there are."""
        kept: list[Any] = list(self.state.values())
        rules, now = list(map(self._rule, self.param_groups, known)), self._watched
        if now is not None and rules == now.rules and now.is_as_it_was:
            found = now.look(params, kept)
            if found is not None and not (now.others.size and found[1][now.others].any()):
                return now, *found
        now, writing = self._made(params, rules, known), Writing()
        for param, its in self.state.items():
            if isinstance(param, torch.Tensor):  # torch lets a state dict hold other things too
                self.state[param] = Kept(its, writing)
        kept = list(self.state.values())
        watch = watching(params, kept)
        self._watched = now = now._replace(writing=writing, watch=watch, facts=None if watch else facts(params, kept))
        found = now.look(params, kept)
        assert found is not None, "nothing has changed since"
        return now, *found

    def _made(self, params: list[Any], rules: list[Asked], known: list[dict[Any, Any]]) -> _Watched:
        """The shares of parameters that have a gradient or states."""
        before = set() if self._watched is None else {id(self._watched.params[k]) for k in self._watched.mine}
        rows = list(dict.fromkeys((j, p.dtype) for j, group in enumerate(self.param_groups) for p in group["params"]))
        of = [rows.index((j, p.dtype)) for j, group in enumerate(self.param_groups) for p in group["params"]]
        model, hypers = Trained(params, of, self.state), self._hypers(rows, known)
        kinds: dict[tuple[Asked, Any], list[int]] = {}
        for k, param in enumerate(params):
            if param.grad is not None or self.state.get(param) or id(param) in before:
                device = torch.device("cpu") if self._on_host else param.device
                kinds.setdefault((rules[rows[of[k]][0]], device), []).append(k)
        had = {param for param in params if self.state.get(param)}
        try:
            only = len(kinds) > 1
            shares = [self._share(*kind, members, model, hypers, only=only) for kind, members in kinds.items()]
        except BaseException:
            for param in set(params) - had:
                self.state.pop(param, None)
            raise
        self._steps = max([self._steps, *(share.t for share in shares)])
        others = sorted({*range(len(params))}.difference(*kinds.values()))
        return _Watched(shares, params, np.array(others, np.int64), rows, rules)

    def _share(
        self,
        rule: Asked,
        device: Any,
        members: list[int],
        model: Trained,
        hypers: list[dict[str, float]],
        *,
        only: bool,
    ) -> Share:
        """What one rule does on one device, with all parameters there are or only some."""
        target = _TARGETS.get(device.type)
        if target is None:
            raise RuntimeError(f"params[{members[0]}] is on {device}: expected a CPU or an NVIDIA GPU")
        program = program_of(rule, target)
        if "model" in program.kinds.values() and only:
            what = "makes values of the whole model, so expected all parameters on one device, with the same options"
            raise ValueError(f"{type(self).__name__} {what}")
        kind: Any = HostShare if self._on_host else Share
        if target == "cuda":
            kind = import_module("optgen.torch.gpu").GpuShare  # with numba-cuda
        share: Share = kind(program, self._options, self._named, model, members, hypers=hypers)
        return share

    def _hypers(self, rows: Sequence[tuple[int, Any]], known: list[dict[Any, Any]]) -> list[dict[str, float]]:
        """The hyperparameters of each row."""
        return [self._hypers_of(self.param_groups[j], dtype, known[j]) for j, dtype in rows]

    def eval_params(self) -> list[Any]:
        """The parameters to evaluate the model with, as new tensors, in the order of the groups.

        They are what the rule says, an average of the points it visited, say; if it says nothing, what they are.
        """
        params = list(chain.from_iterable(group["params"] for group in self.param_groups))
        with TURN, torch.no_grad():
            try:
                shares = self._seen(params, list(map(self._known_of, self.param_groups)))[0].shares
                found = {k: new for share in shares for k, new in share.evaluated().items()}
            finally:
                self._forget()
            return [found[k] if k in found else param.detach().clone() for k, param in enumerate(params)]

    # What is kept ----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = defaultdict(dict, {key: _plain(its) for key, its in self.state.items()})
        return {
            **super().__getstate__(),
            "state": state,
            "_options": self._options,
            "_steps": self._steps,
            "_on_host": self._on_host,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._named, self._watched = Spelling(type(self).__name__, self.family), None
        self._made_of, self._under_way = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """The states and the groups, as torch's optimizers have them; see `torch.optim.Optimizer`."""
        found: dict[str, Any] = super().state_dict()
        return {**found, "state": {key: _plain(its) for key, its in found["state"].items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, here or in torch's optimizer of this name.

        The states are copied, and keep their dtypes, as they do not in torch.
        """
        given: dict[str, Any] = {}
        handles = [
            self.register_load_state_dict_pre_hook(partial(_loaded, given)),  # as other hooks have left it
            self.register_load_state_dict_post_hook(lambda _: self._copy_states(given), prepend=True),
        ]
        try:
            with TURN:
                self._under_way.clear()
                super().load_state_dict(state_dict)
        finally:
            for handle in handles:
                handle.remove()

    def _copy_states(self, given: Mapping[str, Any]) -> None:
        """Take the states of a state dict as they are there, in tensors of our own."""
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        keys = chain.from_iterable(group["params"] for group in given["param_groups"])
        for param, key in zip(params, keys, strict=True):
            for name, value in given["state"].get(key, {}).items():
                if isinstance(value, torch.Tensor):
                    self.state[param][name] = value.detach().to("cpu" if self._on_host else param.device, copy=True)
        self._steps = 0


def _loaded(given: dict[str, Any], optimizer: TorchOptimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """What torch is to load of a state dict, which is noted: it would cast tensors, and move them."""
    kind, each = type(optimizer), enumerate(state_dict["param_groups"])
    groups = [completed(group, f"param_groups[{k}]", kind, optimizer.defaults) for k, group in each]
    state_dict = {**state_dict, "param_groups": groups}
    given.update(state_dict)
    kept = {
        key: {name: value for name, value in its.items() if not isinstance(value, torch.Tensor)}
        if isinstance(its, Mapping)
        else its
        for key, its in state_dict["state"].items()
    }
    return {**state_dict, "state": kept}


def _plain(its: Any) -> Any:
    """What is kept, as torch would keep it."""
    return dict(its) if isinstance(its, Kept) else its


class _Watched(NamedTuple):
    """What steps go by, and all there was to see of it."""

    shares: list[Share]  # what each rule does on each device
    params: list[Any]  # all parameters
    others: Array  # int64: those in no share
    rows: list[tuple[int, Any]]  # of each row of hyperparameters its group, and the dtype of the parameters
    rules: list[Asked]  # what each group asks for
    writing: Writing | None = None  # whether a state has been put in the place of another
    watch: Watch | None = None  # what notices changes
    facts: list[Any] | None = None  # the same, where there is no telling from the objects

    @property
    def is_as_it_was(self) -> bool:
        """Whether nobody has written to states by their names, or to what is counted."""
        is_written = self.writing is None or self.writing.was_seen
        return not is_written and all(share.is_as_kept for share in self.shares)

    @property
    def mine(self) -> list[int]:
        """The parameters that are in some share."""
        return [k for share in self.shares for k in share.mine]

    def look(self, params: list[Any], kept: list[Any]) -> tuple[Array, Array] | None:
        """Where each gradient is, and which there are; None if anything else has changed."""
        if self.watch is not None:
            return self.watch.look(params, kept)
        if facts(params, kept) != self.facts:
            return None
        present = np.array([param.grad is not None for param in params])
        return np.where(present, ODD, 0), present


@contextmanager
def _threads_of_torch() -> Iterator[None]:
    """Have kernels run on as many threads as torch would use, and leave both as they were."""
    wanted_threads, before = torch.get_num_threads(), numba.get_num_threads()
    numba.set_num_threads(max(1, min(wanted_threads, numba.config.NUMBA_NUM_THREADS)))
    try:
        yield
    finally:
        numba.set_num_threads(before)
        if torch.get_num_threads() != wanted_threads:  # where both have the same threads, of OpenMP
            torch.set_num_threads(wanted_threads)
