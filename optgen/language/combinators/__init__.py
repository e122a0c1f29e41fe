"""Wrappers: functions from an optimizer to an optimizer.

Each rewrites equations and so costs no pass over memory of its own: however deep they are nested, what comes out is one
rule, compiled like any other. They nest in any order, and the order means what it says: in ``ema(lookahead(adamw))``
the average is of the weights as Lookahead leaves them, in ``lookahead(ema(adamw))`` of the fast weights.

What a wrapper adds it names so that nothing clashes: a second ``l2`` has its own ``weight_decay_2``. Every wrapper
takes ``name``, ``title``, ``reference``, ``description`` and ``properties`` for the new optimizer by keyword. Claims of
the inner one are not passed on, since few outlive a wrapper; what is to be evaluated is, and the outermost wrapper that
has something to say of that decides.
"""
