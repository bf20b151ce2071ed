using Fairlead.Errors;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Maps positions of errors in the canonical model, whose messages may consist of several items, to this dialect.</summary>
internal static class ResponsesParameterNames
{
    public static GatewayError Of(GatewayError error) => error.Parameter switch
    {
        null => error,
        var place when place == "messages" || place.StartsWith("messages[", StringComparison.Ordinal) => error with { Parameter = "input" },
        "response_format" => error with { Parameter = "text.format" },
        "reasoning_effort" => error with { Parameter = "reasoning.effort" },
        "max_tokens" or "max_completion_tokens" => error with { Parameter = "max_output_tokens" },
        _ => error,
    };
}
