"""The options of promotions, each declared once, as in `transfer.options`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from runsync.errors import WrongUsage
from runsync.model.option import Option, group
from runsync.options import DryRun, Reaching
from runsync.promotion.gates import Comparison, parse_comparison
from runsync.promotion.wanted import Asked
from runsync.transfer.options import SourceArtifacts

if TYPE_CHECKING:
    from runsync.promotion.signatures import Signer, Trust

CHAMPION = "champion"
_ALIAS = re.compile(r"(?!latest$)(?![vV]\d+$)[\w-]+", re.ASCII)


@group
class Choosing:
    """Which model: `model` is MODEL@ALIAS or MODEL/VERSION, which stands before the options on the command line."""

    model: str = ""
    run: Annotated[str, Option("Promote the model that this run logged.", "RUN")] = ""
    best: Annotated[
        str, Option('Promote the model of the best run, such as "metrics.auc DESC" (with --filter).', "ORDER")
    ] = ""
    filter: Annotated[str, Option("Only runs that match; without --best, exactly one must.", "EXPR")] = ""
    experiments: Annotated[
        Sequence[str], Option("Only runs of this experiment.", "NAME", flag="--experiment", repeatable=True)
    ] = ()
    model_path: Annotated[
        str | None, Option("Which model of the run, where it logged several: its name or path.", "PATH")
    ] = None

    @property
    def asked(self) -> Asked:
        """All of it. Raises WrongUsage for what says too little or too much."""
        asked = Asked(self.model, self.run, self.best, self.filter, tuple(self.experiments), self.model_path)
        asked.check()
        return asked


@group
class Arriving:
    """How it is called in the target."""

    alias: Annotated[str, Option("Alias to move to the model.", "NAME", shows_default=True)] = CHAMPION
    to_model: Annotated[str, Option("Name of the model in the target (default: the one it has).", "NAME")] = ""
    to_experiment: Annotated[str, Option("Experiment for its run in the target (default: the one it has).", "NAME")] = (
        ""
    )
    lineage: Annotated[bool, Option("Also bring the parents of its run.")] = False


@group
class Gating:
    """What it must be. `on` and `by` are for comparisons that do not say them themselves."""

    require: Annotated[
        Sequence[str],
        Option(
            'Refuse unless this holds of its run, version and logged model, such as "metrics.auc > 0.9 AND '
            "tags.reviewed = 'yes'\".",
            "EXPR",
            repeatable=True,
        ),
    ] = ()
    better_than: Annotated[
        Sequence[str],
        Option(
            "Refuse unless it is better than the target's model of this alias. Several metrics: "
            '"champion on metrics.auc up by 0.5%".',
            "ALIAS",
            repeatable=True,
        ),
    ] = ()
    not_worse_than: Annotated[
        Sequence[str],
        Option("Likewise, unless it is not worse; --by is how much is tolerated.", "ALIAS", repeatable=True),
    ] = ()
    on: Annotated[
        str, Option('What to compare, and which way is better, such as "metrics.loss down".', "METRIC UP|DOWN")
    ] = ""
    by: Annotated[str, Option("By how much: 0.01, or 0.5% of the other's value.", "MARGIN")] = ""
    force: Annotated[str, Option("Promote although gates refuse; the reason is recorded.", "REASON")] = ""
    take_over: Annotated[bool, Option("Move the alias although others than promotions set it.")] = False
    record_refusals: Annotated[bool, Option("Also record a refusal in the target.")] = False

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Raises WrongUsage for one that cannot be read."""
        if (self.on or self.by) and not (self.better_than or self.not_worse_than):
            raise WrongUsage("--on and --by go with --better-than or --not-worse-than")
        better = (parse_comparison(text, self.on, self.by, False) for text in self.better_than)
        return (*better, *(parse_comparison(text, self.on, self.by, True) for text in self.not_worse_than))


@group
class Trusting:
    """Whose signature it must have."""

    verify_signature: Annotated[
        str,
        Option(
            "Refuse unless it is signed (model.sig) by the owner of this public key, by a certificate under these "
            "roots (files in PEM), or by this identity.",
            "KEY|IDENTITY",
        ),
    ] = ""
    oidc_issuer: Annotated[str, Option("Who vouches for identities.", "URL")] = ""

    @property
    def trust(self) -> "Trust | None":
        """Raises WrongUsage for what cannot be looked for."""
        from runsync.promotion.signatures import Trust

        if not self.verify_signature:
            return None
        trust = Trust(self.verify_signature, self.oidc_issuer)
        trust.check()
        return trust


@group
class Signing:
    """Who signs it on its way."""

    sign: Annotated[
        str,
        Option(
            "Sign the model on its way (model.sig): with a private key (a file in PEM; RUNSYNC_SIGN_PASSWORD has its "
            "password), or with the identity of this pipeline.",
            "KEY|IDENTITY",
        ),
    ] = ""
    certificate: Annotated[
        str, Option("The certificate of that key, and those up to its root (a file in PEM).", "FILE")
    ] = ""


@group
class Planning:
    """Whether to write a plan, and change nothing."""

    plan: Annotated[
        str | Path | None, Option("Write what would be done to FILE, for --apply; change nothing.", "FILE")
    ] = None


@group
class PromoteOptions(Choosing, Arriving, Gating, Trusting, Signing, Planning, SourceArtifacts, DryRun, Reaching):
    """Those of `promote`."""

    def check(self) -> None:
        """Raises WrongUsage for gates and signatures that cannot be meant."""
        _ = self.comparisons, self.trust, self.signer

    @property
    def signer(self) -> "Signer | None":
        """Raises WrongUsage for what cannot sign."""
        from runsync.promotion.signatures import Signer

        if not self.sign:
            if self.certificate:
                raise WrongUsage("--certificate goes with --sign")
            return None
        signer = Signer(self.sign, self.certificate, self.oidc_issuer)
        signer.check()
        return signer

    @property
    def only_looks(self) -> bool:
        """Whether nothing is to be changed."""
        return self.dry_run or self.plan is not None


def check_alias(alias: str) -> None:
    """Raises WrongUsage for what MLflow takes for no alias."""
    if not _ALIAS.fullmatch(alias):
        raise WrongUsage(
            f"“{alias}” cannot be an alias: letters, digits, _ and -, and neither “latest” nor v and a number"
        )
