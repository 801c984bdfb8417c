"""`facefort demo`: what the project is for, in one command on what the package carries."""

from __future__ import annotations

from pathlib import Path

import click

# What the demo looks with; the restorer itself and the pictures ship with the package.
NEEDED = ("centerface", "facemesh", "dlib-resnet", "lpips")


@click.command(name="demo")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("facefort-demo"), help="Folder for the result."
)
@click.option("--force", is_flag=True, help="Start over instead of going on where an earlier demo stopped.")
def command(out: Path, force: bool) -> int:
    """Restore three sample photos, audit the bundled restorer, and write one page that shows both.

    On the first run the weights of the detector and the judges are fetched (about 105 MB); afterwards nothing uses
    the network. The people in the samples do not exist.
    """
    from facefort import assets

    for name in assets.missing(NEEDED):
        asset = assets.ASSETS[name]
        click.echo(f"fetching {name}: {asset.purpose} ({asset.download_mb:g} MB, {asset.licence})")
        assets.fetch(name)

    from facefort.app.cli.options import command_line, progress
    from facefort.audit import AuditSettings, findings
    from facefort.audit.run import run as audit
    from facefort.models import zoo
    from facefort.report import write_page, write_summary
    from facefort.restoring.batch import run as restore
    from facefort.restoring.settings import RestoreSettings
    from facefort.samples import photos

    paths = tuple(str(path) for path in photos())
    with progress("restoring sample photos", len(paths)) as bar:
        restored = restore(
            RestoreSettings(inputs=paths),
            out / "restored",
            lambda photo: bar.update(photo.number, photo.total),
            command=command_line(),
            resume=not force,
        )
    write_page(restored.path)
    settings = AuditSettings(
        model=zoo.DEFAULT,
        faces="samples",
        eps=("1/255", "2/255", "4/255", "8/255"),
        steps=10,
        batch=8,
        precision="auto",
    )
    with progress(f"auditing {zoo.DEFAULT}", None) as bar:
        audited = audit(settings, out / "audit", bar.update, command=command_line(), resume=not force)
    write_page(audited.path)
    page = write_summary(out, restored.path, audited.path)
    for number, finding in enumerate(findings(audited)[:3], 1):
        click.echo(f"{number}. {finding.title}. {finding.detail}")
    click.echo(f"\nThe page: {page}")
    return 1 if restored.info["counts"]["failed"] or audited.info["counts"]["failed"] else 0
