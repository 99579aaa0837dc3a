"""topicwire's Lambda runtime client for Python: loads an unmodified handler and serves
it invocations. It speaks the Runtime API over the socket that it is born with, which is
cheaper than TCP, and sends a response and the request for the next event together; the
server answers that pair in one write."""

import importlib
import json
import logging
import marshal
import os
import socket
import sys
import time
import traceback

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
PREFIX = "/2018-06-01/runtime/"
NEXT = ("GET %sinvocation/next HTTP/1.1\r\nHost: %s\r\n\r\n" % (PREFIX, API)).encode()


class Fault(Exception):
    """An error of the runtime's own, with the name AWS gives it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = "Runtime." + kind
        self.message = message
        self.trace = trace or []


# ---- JSON as AWS writes it: decimals are numbers, bytes are text, a namedtuple is an
# object. From Python 3.12 on text is not escaped. ----

_MARK = "decimal-" + os.urandom(16).hex() + ":"
_ASCII = os.environ.get("AWS_EXECUTION_ENV", "") in ["AWS_Lambda_python3.%d" % minor for minor in range(6, 12)]


class _Encoder(json.JSONEncoder):
    decimals = False

    def default(self, o):
        decimal = sys.modules.get("decimal")  # nobody has one who has not imported it
        if decimal and isinstance(o, decimal.Decimal):
            if o.is_nan():
                return float("nan")
            self.decimals = True
            return _MARK + str(o)
        if isinstance(o, bytes):
            return o.decode()
        if callable(getattr(o, "_asdict", None)):
            return _objects(o._asdict())
        return super().default(o)


def _objects(value):
    """Makes dicts of namedtuples, which json takes for lists, and keys of bytes text."""
    if isinstance(value, tuple) and callable(getattr(value, "_asdict", None)):
        value = value._asdict()
    if isinstance(value, dict):
        return {k.decode() if isinstance(k, bytes) else k: _objects(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_objects(v) for v in value]
    return value


_plain = json.JSONEncoder(ensure_ascii=_ASCII).encode


def to_json(value):
    try:
        marshal.dumps(value, 2)  # takes nothing but plain dicts, lists, tuples, strings and numbers
        return _plain(value)
    except (TypeError, ValueError):
        encoder = _Encoder(ensure_ascii=_ASCII)
    try:
        text = encoder.encode(_objects(value))
    except RecursionError:
        raise ValueError("Circular reference detected") from None
    if encoder.decimals:
        import re

        text = re.sub('"' + _MARK + '([^"]*)"', r"\1", text)
    return text


# ---- the handler's context ----


class _Fields:
    __slots__ = ()

    def __init__(self, source):
        for name in self.__slots__:
            setattr(self, name, source.get(name))

    def __repr__(self):
        return "%s([%s])" % (
            type(self).__name__,
            ",".join("%s=%s" % (name, getattr(self, name)) for name in self.__slots__),
        )


class CognitoIdentity(_Fields):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Fields):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Fields):
    __slots__ = ("custom", "env", "client")


class LambdaContext:
    _of_the_process = {
        "log_group_name": os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME"),
        "log_stream_name": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"),
        "function_name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME"),
        "memory_limit_in_mb": os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        "function_version": os.environ.get("AWS_LAMBDA_FUNCTION_VERSION"),
    }

    def __init__(self, fields):
        self.__dict__.update(self._of_the_process)  # vars(context) has them
        self.aws_request_id = fields["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = fields.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = fields.get("lambda-runtime-aws-tenant-id")
        self._deadline = int(fields.get("lambda-runtime-deadline-ms", 0))
        client = _parse(fields.get("lambda-runtime-client-context"), "Client Context")
        self._w3c = client.pop("w3c", None) if isinstance(client, dict) else None
        self.client_context = None
        if client is not None:
            self.client_context = ClientContext(client)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        identity = _parse(fields.get("lambda-runtime-cognito-identity"), "Cognito Identity") or {}
        self.identity = CognitoIdentity({})
        self.identity.cognito_identity_id = identity.get("cognitoIdentityId")
        self.identity.cognito_identity_pool_id = identity.get("cognitoIdentityPoolId")

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def w3c(self):
        known = self._w3c if isinstance(self._w3c, dict) else {}
        return {k: known[k] for k in ("traceparent", "tracestate", "baggage") if isinstance(known.get(k), str)}

    def log(self, msg):
        sys.stdout.write(str(msg))

    def __repr__(self):
        names = (
            "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb "
            "function_version invoked_function_arn client_context identity tenant_id"
        ).split()
        return "LambdaContext([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in names)


def _parse(text, what):
    if not text:
        return None
    try:
        return json.loads(text)
    except Exception as e:
        raise Fault("LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (what, e))


# ---- logging ----

request_id = ""


class _StdoutHandler(logging.Handler):
    def emit(self, record):
        record.aws_request_id = request_id
        sys.stdout.write(self.format(record))


_JSON_LOG = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
_RECORD_FIELDS = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "taskName"}


class _JSONFormatter(logging.Formatter):
    def format(self, record):
        entry = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + ".%03dZ" % record.msecs,
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            entry["stackTrace"] = traceback.format_tb(record.exc_info[2])
            entry["errorType"] = record.exc_info[0].__name__
            entry["errorMessage"] = str(record.exc_info[1])
            entry["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
        entry["requestId"] = request_id
        for name, value in vars(record).items():  # what extra= has added
            if name not in _RECORD_FIELDS:
                entry.setdefault(name, value)
        return json.dumps(entry, ensure_ascii=False, default=str) + "\n"


class _TextFormatter(logging.Formatter):
    def format(self, record):
        # One entry is one line; the reader turns the carriage returns back.
        return super().format(record).rstrip("\n").replace("\n", "\r") + "\n"


def set_up_logging():
    logging.Formatter.converter = time.gmtime
    handler = _StdoutHandler()
    if _JSON_LOG:
        handler.setFormatter(_JSONFormatter())
    else:
        line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
        handler.setFormatter(_TextFormatter(line, "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"):
        root.setLevel({"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level))


def log_error(document):
    if _JSON_LOG:
        entry = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "ERROR", **document}
        sys.stdout.write(to_json(entry) + "\n")
        return
    lines = ["[ERROR] %(errorType)s: %(errorMessage)s" % document, "Traceback (most recent call last):"]
    for frame in document["stackTrace"]:
        lines += frame.splitlines()
    sys.stdout.write("\r".join(lines).replace("\n", "\r") + "\n")


# ---- errors ----


def error_document(error):
    if isinstance(error, Fault):
        message, kind, trace = error.message, error.kind, error.trace
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__)]
        mine = 0
        while mine < len(frames) and (frames[mine].filename == __file__ or "importlib" in frames[mine].filename):
            mine += 1
        trace = traceback.format_list(frames[mine:] or frames)
        message, kind = str(error), type(error).__name__
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


# ---- the wire ----


class Connection:
    def __init__(self):
        self.socket = socket.socket(fileno=3)
        self.socket.set_inheritable(False)
        self.rest = b""

    def receive(self):
        """Returns the next event's header fields and body; receipts are skipped."""
        while True:
            end = self.rest.find(b"\r\n\r\n")
            while end < 0:
                self.fill()
                end = self.rest.find(b"\r\n\r\n")
            lines = self.rest[:end].decode().split("\r\n")
            fields = {}
            for line in lines[1:]:
                name, _, value = line.partition(": ")
                fields[name.lower()] = value
            size = int(fields.get("content-length", 0))
            body = self.rest[end + 4 :]
            if len(body) < size:
                parts, have = [body], len(body)
                while have < size:
                    part = self.socket.recv(1 << 20)
                    if not part:
                        os._exit(1)
                    parts.append(part)
                    have += len(part)
                body = b"".join(parts)
            self.rest = body[size:]
            if lines[0].startswith("HTTP/1.1 200"):
                return fields, body[:size]

    def fill(self):
        part = self.socket.recv(65536)
        if not part:
            os._exit(1)  # the server is gone, and so is our reason to be
        self.rest += part

    def post(self, target, body, headers, then=b""):
        head = "POST %s%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n" % (PREFIX, target, API, headers, len(body))
        self.socket.sendall(head.encode() + body + then)

    def post_error(self, target, document, then=b""):
        kind = document["errorType"].encode("ascii", "replace").decode()
        headers = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: %s\r\n" % kind
        self.post(target, to_json(document).encode("utf-8", "backslashreplace"), headers, then)


# ---- loading and serving ----


def load(name):
    module_name, dot, function = name.rpartition(".")
    if not dot:
        raise Fault("MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("ImportModuleError", "Unable to import module '%s': %s" % (module_name, e))
    except SyntaxError as e:
        trace = ['  File "%s" Line %s\n    %s' % (e.filename, e.lineno, e.text)]
        raise Fault("UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e), trace)
    try:
        return getattr(module, function)
    except AttributeError:
        raise Fault("HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module_name))


def call(handler, fields, body):
    context = LambdaContext(fields)
    try:
        event = json.loads(body)
    except Exception as e:
        raise Fault("UnmarshalError", "Unable to unmarshal input: %s" % e)
    response = handler(event, context)
    if isinstance(response, bytes):
        return response, "Content-Type: application/unknown\r\n"
    try:
        return to_json(response).encode(), "Content-Type: application/json\r\n"
    except Exception as e:
        raise Fault("MarshalError", "Unable to marshal response: %s" % e)


def main():
    global request_id
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    set_up_logging()
    connection = Connection()
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as e:
        document = error_document(e)
        log_error(document)
        connection.post_error("init/error", document)
        sys.exit(1)
    traced = False
    connection.socket.sendall(NEXT)
    while True:
        fields, body = connection.receive()
        request_id = fields["lambda-runtime-aws-request-id"]
        trace = fields.get("lambda-runtime-trace-id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        elif traced:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        traced = trace is not None
        target = "invocation/" + request_id
        try:
            result, headers = call(handler, fields, body)
        except Exception as e:
            document = error_document(e)
            log_error(document)
            connection.post_error(target + "/error", document, NEXT)
        else:
            connection.post(target + "/response", result, headers, NEXT)


if __name__ == "__main__":
    main()
