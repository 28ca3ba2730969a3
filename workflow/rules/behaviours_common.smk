"""The configuration of the behaviours study: the same models and methods on preference files."""

from functools import cache

from yapo.data.behaviours import LANGUAGE as BEHAVIOURS

# A behaviour stands where a country does.
BEHAVIOUR_OVERRIDES = on_top(
    OVERRIDES,
    [
        "data=preferences",
        "data.source=preferences",
        f"data.path={CONFIG.studies.behaviours.folder}",
        "countries=[]",
        "tasks=[open_ended]",
        "settings=[both]",
        *CONFIG.studies.behaviours.overrides,
    ],
)
BEHAVIOUR = STUDY.root / BEHAVIOURS / "{behaviour}"
BEHAVIOUR_LOGS = STUDY.root / "logs/behaviours"


def behaviour_method(method):
    """Overrides of one method's training. A preference pair has no form that names its country: contrast its answers."""
    own = OPTIONS.of_method(method)
    if "contrast" not in METHOD_CONFIG[method]["method"]["options"]:
        return own
    return [*own, "method.options.contrast=answer"]


try:
    BEHAVIOUR_CONFIG = compose(BEHAVIOUR_OVERRIDES)
    # Without the folder all else still runs; only what asks for a behaviour is refused.
    BEHAVIOUR_NAMES = (
        sorted(known_countries(BEHAVIOUR_CONFIG.data))
        if Path(BEHAVIOUR_CONFIG.data.path).is_dir()
        else []
    )
    if (
        BEHAVIOUR_CONFIG.discovery.layer is None
        and BEHAVIOUR_CONFIG.model != CONFIG.model
    ):
        raise YapoError(
            f"studies.behaviours.overrides={CONFIG.studies.behaviours.overrides}: another model needs its own discovery.layer"
        )
except YapoError as error:
    refuse(error)


wildcard_constraints:
    behaviour=one_of(BEHAVIOUR_NAMES),


def for_behaviour(wildcards):
    """The override that names the behaviour of a job, where a country's name stands otherwise."""
    return [country_override(wildcards.behaviour)]


def for_behaviour_method(wildcards):
    """The overrides of one method; what they decide is in its spec."""
    return behaviour_method(wildcards.method)


def behaviour_reads(stage):
    """See ``reads``; made when a job asks, since most targets have none of these jobs."""
    return lambda wildcards: behaviour_spec(stage)


@cache
def behaviour_spec(stage):
    """What decides a stage's result on a behaviour."""
    return spec(stage, plain(BEHAVIOUR_CONFIG))


@cache
def behaviour_training(method):
    """What decides the training of a method on a behaviour."""
    config = compose([*BEHAVIOUR_OVERRIDES, *behaviour_method(method)])
    return spec("train", plain(config))


BEHAVIOUR_MODELS = [
    *model_files(BEHAVIOUR_CONFIG),
    *sae_files(BEHAVIOUR_CONFIG),
    *(rules.layer.output if BEHAVIOUR_CONFIG.discovery.layer is None else []),
    *(TRAINED_SAES if BEHAVIOUR_CONFIG.sae.trained else []),
    *DOWNLOADED,
]


def behaviour_files(pattern, **more):
    """Files of every behaviour; refuses a folder that is not there."""

    def ask(wildcards):
        try:
            names = sorted(known_countries(BEHAVIOUR_CONFIG.data))
        except YapoError as error:
            refuse(error)
        return expand(str(pattern), behaviour=names, **more)

    return ask
