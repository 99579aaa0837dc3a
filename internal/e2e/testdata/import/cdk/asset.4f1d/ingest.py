import os


def handler(event, context):
    return {"fleet": os.environ["FLEET"], "vehicle": event["vehicle"], "fuel": event["fuel"][0]}
