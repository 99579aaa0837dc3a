"""A machine's vibration sensor sends samples; the function answers what they amount to."""

import logging
import statistics

logger = logging.getLogger()


def handler(event, context):
    samples = event["samples"]  # a KeyError runs the rule's errorAction
    if max(samples) > 10:
        logger.warning("%s shakes: %s", event["machine"], max(samples))
    return {
        "machine": event["machine"],
        "count": len(samples),
        "mean": round(statistics.fmean(samples), 3),
        "max": max(samples),
    }
