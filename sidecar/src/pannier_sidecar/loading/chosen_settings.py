"""What the sidecar chooses for a component: the file of an embedded database, the socket of a pluggable component, how
keys are stored; and whether it may load the credential provider that a component names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.problems import Problem, error, metadata_path
from pannier_crds.secret import reveal
from pannier_sidecar.state.keys import DASH, SEPARATOR, KeyScheme, refuse_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue import ComponentType, Setting
    from pannier_crds.component import Component
    from pannier_sidecar.loading.resolving import ResolutionContext


def placed(
    component_type: ComponentType, settings: dict[str, Setting], component: Component, context: ResolutionContext
) -> Iterator[Problem]:
    """Give an embedded database without a file name a file in the user's data folder, as the catalogue promises, and a
    pluggable component its name and the folder of its socket.
    """
    if component_type.is_pluggable:
        from pannier_sidecar.stores.pluggable.settings import chosen  # few sidecars have one

        settings.update(chosen(component_type.name, component.name, context.sockets_folder))
    for name in (each.name for each in component_type.fields if each.names_a_file):
        if settings.get(name) is not None:
            continue
        if context.is_daprd:
            yield error(metadata_path(name), "missing connection string", "name a file; Dapr has no default either")
        elif context.data_folder is None:
            message = "no file is named, and there is no home folder to put one into"
            yield error(metadata_path(name), message, "add it, or set HOME or XDG_DATA_HOME")
        else:
            settings[name] = str(context.data_folder / f"{component.name}.db")


def unlisted_provider(settings: Mapping[str, Setting], context: ResolutionContext) -> Iterator[Problem]:
    """Yield a problem if a component names a credential provider that this sidecar may not load."""
    if settings.get("credentialProvider") is not None:
        from pannier_crds.credential_providers import unlisted  # few components name one

        yield from unlisted(settings, context.credential_providers)


def key_scheme(
    component: Component, settings: Mapping[str, Setting], context: ResolutionContext, *, as_written: bool
) -> KeyScheme:
    """Return the key scheme. Raises ValueError if stored keys could be another app's."""
    written = component.setting("keyPrefix") or ""
    if not as_written and ("{namespace}" in written or "{appID}" in written):
        refuse_tokens(context.app_id, context.namespace if "{namespace}" in written else None)
    return KeyScheme(
        store=component.name,
        app_id=context.app_id,
        namespace=context.namespace,
        strategy=reveal(settings["keyPrefix"]),
        separator=DASH if settings["keyScheme"] == "dash" else SEPARATOR,
        holds_actors=settings["actorStateStore"] is True,
        as_written=as_written,
    )
