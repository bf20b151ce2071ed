using System.Collections.Frozen;

namespace Fairlead.Errors;

/// <summary>The closed list of errors, with everything that is the same for every occurrence.</summary>
internal static class ErrorCatalogue
{
    private const string Invalid = "invalid_request_error";

    /// <summary>All codes, in the order of the documentation.</summary>
    public static IReadOnlyList<ErrorDefinition> All { get; } =
    [
        Request(ErrorCode.MalformedJson, "malformed_json", 400, "The body is not valid JSON",
            "Send one JSON object, encoded as UTF-8; the message names the line and position of the error."),
        Request(ErrorCode.InvalidParameter, "invalid_parameter", 400, "A parameter has an invalid value",
            "Correct the field named in `param`; the message lists the accepted values."),
        Request(ErrorCode.MissingParameter, "missing_parameter", 400, "A required parameter is missing", "Add the field named in `param`."),
        Request(ErrorCode.UnsupportedParameter, "unsupported_parameter", 400, "A parameter is not supported",
            "Leave out the field named in `param`, or choose a model that supports it; GET /v1/models lists the models."),
        Request(ErrorCode.ContextLengthExceeded, "context_length_exceeded", 400, "The request is larger than the model's context window",
            "Shorten the input or lower the output limit by the number of tokens the message names, or choose a model with a larger "
            + "window."),
        Request(ErrorCode.IncompatibleInput, "incompatible_input", 400, "The model does not accept this kind of input",
            "Remove the part named in `param`, or choose a model that accepts it."),
        Request(ErrorCode.ContentBlocked, "content_blocked", 400, "A content policy blocks the request",
            "Remove what the rule named in `details` forbids, or ask an administrator about the policy."),
        Request(ErrorCode.ModelNotFound, "model_not_found", 404, "The model does not exist",
            "GET /v1/models lists the models this key may use.", anthropicType: "not_found_error"),
        Request(ErrorCode.NotFound, "not_found", 404, "There is nothing at this address",
            "Check the path and the id; ids of other projects are not visible to this key.", anthropicType: "not_found_error"),
        Request(ErrorCode.MethodNotAllowed, "method_not_allowed", 405, "The address does not support this method",
            "Use a method listed in the Allow header."),
        Request(ErrorCode.ModelRetired, "model_retired", 410, "The model has been retired", "Use the replacement that the message names.",
            anthropicType: "not_found_error"),
        Request(ErrorCode.PayloadTooLarge, "payload_too_large", 413, "The body is too large",
            "Send less; the message names the limit. Reference large media by URL instead of embedding it.",
            anthropicType: "request_too_large"),
        Request(ErrorCode.UnsupportedMediaType, "unsupported_media_type", 415, "The body is not declared as JSON",
            "Send the header Content-Type: application/json."),
        Request(ErrorCode.Conflict, "conflict", 409, "The request conflicts with the current state",
            "Read the resource again and apply the change to its current state.", anthropicType: "conflict_error"),
        new(ErrorCode.IdempotencyInProgress, "idempotency_in_progress", ErrorGroup.Request, 409, 409, Invalid, "conflict_error", true,
            "The first request with this Idempotency-Key is still in progress",
            "Wait as long as `retry_after_ms` says, then repeat the request: the response is that of the first request."),
        Request(ErrorCode.IdempotencyConflict, "idempotency_conflict", 422, "The Idempotency-Key belongs to another request",
            "Send a new key with every new request; repeat a request with the same body and address."),
        new(ErrorCode.NotCached, "not_cached", ErrorGroup.Request, 504, 504, Invalid, Invalid, false,
            "The cache has no response to the request",
            "Leave out Cache-Control: only-if-cached, so that a model answers."),
        Request(ErrorCode.ResultExpired, "result_expired", 410, "The content of the generation is not stored",
            "GET /v2/generations/{id} still shows its outcome, usage and cost. Read results before they expire, or store them yourself.",
            anthropicType: "not_found_error"),

        Access(ErrorCode.MissingApiKey, "missing_api_key", 401, "No API key was sent",
            "Send the key as Authorization: Bearer, x-api-key or api-key."),
        Access(ErrorCode.InvalidApiKey, "invalid_api_key", 401, "The API key is unknown",
            "Check that the whole key was sent and belongs to this server."),
        Access(ErrorCode.KeyExpired, "key_expired", 401, "The API key has expired",
            "Ask an administrator for a new key, or rotate this one before it expires."),
        Access(ErrorCode.KeyRevoked, "key_revoked", 401, "The API key has been revoked",
            "Use another key of the project, or ask an administrator for one."),
        Access(ErrorCode.InsufficientScope, "insufficient_scope", 403, "The API key lacks a required scope",
            "Use a key that has the scope named in the message."),
        Access(ErrorCode.ModelNotAllowed, "model_not_allowed", 403, "The API key may not use this model",
            "Use a model from GET /v1/models, or ask an administrator to allow this one."),
        Access(ErrorCode.ClassNotAllowed, "class_not_allowed", 403, "The API key may not use this priority class",
            "Use a class that the message lists, or leave out the class."),
        Access(ErrorCode.AddressNotAllowed, "address_not_allowed", 403, "The API key may not be used from this address",
            "Call from an address that the key allows, or ask an administrator to add this one."),

        new(ErrorCode.RateLimitExceeded, "rate_limit_exceeded", ErrorGroup.Limits, 429, 429, "requests", "rate_limit_error", true,
            "A rate limit was reached", "Wait as long as `retry_after_ms` says (a few seconds if it is absent), then repeat the request."),
        new(ErrorCode.BudgetExceeded, "budget_exceeded", ErrorGroup.Limits, 429, 402, "insufficient_quota", "billing_error", true,
            "A budget is used up",
            "Wait until the budget starts again (`details.resets_at`), send a smaller request, or ask an administrator to raise the budget."),
        new(ErrorCode.QueueFull, "queue_full", ErrorGroup.Limits, 429, 429, "requests", "rate_limit_error", true,
            "A queue is full: that of the project's jobs, or that of the calls that wait for a model",
            "Wait as long as `retry_after_ms` says, then repeat the request. For jobs, wait until some of the project's jobs have started; "
            + "batches have their own queue."),
        new(ErrorCode.DeadlineExceeded, "deadline_exceeded", ErrorGroup.Limits, 504, 504, "server_error", "timeout_error", true,
            "The deadline of the request passed", "Allow more time in fairlead.deadline_ms, or ask for less output."),

        Provider(ErrorCode.ProviderError, "provider_error", 502, 500, "api_error", true, "The model's provider failed",
            "Repeat the request; if it keeps failing, choose another model."),
        Provider(ErrorCode.ProviderUnavailable, "provider_unavailable", 503, 529, "overloaded_error", true,
            "The model's provider cannot be reached or is overloaded",
            "Wait as long as `retry_after_ms` says (a few seconds if it is absent), then repeat the request, or choose another model."),
        Provider(ErrorCode.ProviderTimeout, "provider_timeout", 504, 504, "timeout_error", true,
            "The model's provider did not respond in time", "Repeat the request, stream it, or ask for less output."),
        new(ErrorCode.ProviderRejected, "provider_rejected", ErrorGroup.Provider, 400, 400, Invalid, Invalid, false,
            "The model's provider refused the request", "Change the request as the message says, or choose another model."),

        System(ErrorCode.InternalError, "internal_error", 500, 500, "api_error", true, "Something went wrong inside Fairlead",
            "Repeat the request; if it keeps failing, report the request id to the operator."),
        System(ErrorCode.StoreUnavailable, "store_unavailable", 503, 529, "overloaded_error", true, "A required data store is unavailable",
            "Wait as long as `retry_after_ms` says (a few seconds if it is absent), then repeat the request."),
        System(ErrorCode.Overloaded, "overloaded", 503, 529, "overloaded_error", true,
            "The server does not have enough memory for this request or response",
            "Wait as long as `retry_after_ms` says (a few seconds if it is absent), then repeat the request. Smaller requests are "
            + "served first."),
        System(ErrorCode.ShuttingDown, "shutting_down", 503, 529, "overloaded_error", true, "The server is shutting down",
            "Repeat the request; another instance or the restarted server will process it."),
    ];

    private static readonly ErrorDefinition[] ByCode = All.OrderBy(d => (int)d.Code).ToArray();

    private static readonly FrozenDictionary<string, ErrorDefinition> ByName = All.ToFrozenDictionary(d => d.Name);

    /// <summary>The definition of <paramref name="code"/>.</summary>
    public static ErrorDefinition Get(ErrorCode code) => ByCode[(int)code];

    /// <summary>The definition with this wire name, or null.</summary>
    public static ErrorDefinition? Find(string name) => ByName.GetValueOrDefault(name);

    private static ErrorDefinition Request(ErrorCode code, string name, int status, string title, string remedy,
        string anthropicType = Invalid) =>
        new(code, name, ErrorGroup.Request, status, status, Invalid, anthropicType, Retryable: false, title, remedy);

    private static ErrorDefinition Access(ErrorCode code, string name, int status, string title, string remedy) =>
        new(code, name, ErrorGroup.Access, status, status, Invalid, status == 401 ? "authentication_error" : "permission_error",
            Retryable: false, title, remedy);

    private static ErrorDefinition Provider(ErrorCode code, string name, int status, int anthropicStatus, string anthropicType,
        bool retryable, string title, string remedy) =>
        new(code, name, ErrorGroup.Provider, status, anthropicStatus, "server_error", anthropicType, retryable, title, remedy);

    private static ErrorDefinition System(ErrorCode code, string name, int status, int anthropicStatus, string anthropicType,
        bool retryable, string title, string remedy) =>
        new(code, name, ErrorGroup.System, status, anthropicStatus, "server_error", anthropicType, retryable, title, remedy);
}
