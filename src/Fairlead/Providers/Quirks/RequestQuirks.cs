namespace Fairlead.Providers.Quirks;

/// <summary>What servers refuse or misunderstand in requests, and how requests are adapted to them.</summary>
internal static class RequestQuirks
{
    public static readonly IReadOnlyList<Quirk> All =
    [
        new("missing-responses-path", "The server has no `/responses` or `/completions` (404, 405 or 501)", "DeepSeek, older Ollama, many", QuirkTreatment.Repaired,
            "The request is translated to chat completions, and the missing path is remembered for an hour.", "MissingPathTests.Path_ThatTheServerLacks_IsTranslatedAndRemembered"),
        new("missing-path-with-200", "The server reports a missing path with status 200", "LM Studio", QuirkTreatment.Repaired,
            "The same as for status 404.", "MissingPathTests.Path_ThatTheServerLacks_IsTranslatedAndRemembered"),
        new("older-field-names", "The server does not know the role `developer` or the field `max_completion_tokens`, or ignores the field", "DeepSeek, Mistral, Ollama, many", QuirkTreatment.Repaired,
            "Servers other than OpenAI's own get `system` and `max_tokens`.", "MissingPathTests.NewNames_ForAServerOfItsOwn_BecomeTheOlderOnes"),
        new("newer-field-names", "The server is OpenAI's behind a proxy and refuses `max_tokens`", "company proxies", QuirkTreatment.Repaired,
            "The request is sent again with the newer names, and this is remembered for an hour.", "MissingPathTests.OpenAiBehindAProxy_IsToldTheNewNamesWhenItRefusesTheOlder"),
        new("words-of-other-servers", "The server knows more values of a field than OpenAI's own servers", "Groq (`service_tier`), OpenRouter (`modalities`), vLLM (`response_format`), many", QuirkTreatment.Repaired,
            "Values that OpenAI's own servers do not know go through to other servers, which judge them. They are refused where the provider is OpenAI itself or the field must be translated.",
            "RequestQuirkTests.UnknownWord_ForAnotherServer_PassesThrough"),
        new("parts-of-other-servers", "The server knows more kinds of content parts", "vLLM (`video_url`), Mistral, many", QuirkTreatment.Repaired,
            "The part goes through to a server of the same interface. It is refused where it must be translated.", "RequestQuirkTests.UnknownPart_ForAnotherServer_PassesThrough"),
        new("history-as-returned", "An assistant message as one server returned it is refused by another: no content, `tool_calls: []`, reasoning, the server's own parts and fields", "OpenAI, Azure, Mistral, many",
            QuirkTreatment.Repaired, "The message is accepted. Before it is sent, empty members are cut, and for OpenAI's own servers also members and parts that they do not know.", "HistoryTests.Turn_ThatAServerWrote_IsAcceptedBack"),
        new("context-management", "Claude Code sends `context_management` with every request, and Responses clients may", "all models but the vendor's own", QuirkTreatment.Dropped,
            "The field is left out where it must be translated.", "RequestQuirkTests.ContextManagement_ForAnotherModel_IsLeftOutWithAWarning"),
        new("thinking-after-unsigned-calls", "Claude refuses a thinking budget when the last tool calls bear no thinking that it signed", "Anthropic", QuirkTreatment.Dropped,
            "Thinking is not asked for in this request.", "RequestQuirkTests.Thinking_AfterUnsignedCalls_IsLeftOutWithAWarning"),
        new("foreign-call-ids", "Claude refuses ids of tool calls with characters that other servers use", "Anthropic; ids of Kimi, Gemini", QuirkTreatment.Repaired,
            "The id is replaced by a fitting one in the call and in its result.", "RequestQuirkTests.Thinking_AfterUnsignedCalls_IsLeftOutWithAWarning"),
        new("reference-in-tool-result", "Gemini resolves `$ref` inside a tool result and refuses it", "Gemini", QuirkTreatment.Repaired,
            "Such a result is sent as text.", "RequestQuirkTests.ToolResult_WithAReference_GoesToGeminiAsText"),
        new("long-tool-names", "Names of tools may have at most 64 characters", "OpenAI, Gemini, many", QuirkTreatment.Repaired,
            "A longer name is shortened with a hash, and the client gets its own name back.", "RequestQuirkTests.LongToolName_IsShortenedAndGivenBack"),
        new("custom-tools", "The server knows no custom tools", "all servers but OpenAI's own", QuirkTreatment.Repaired,
            "The tool is offered as a function with one text field, and its calls come back as calls of the custom tool.", "RequestQuirkTests.CustomTool_OnAnotherModel_IsAFunctionWithOneTextField"),
        new("cache-hints-in-chat", "Clients of the chat interface send Anthropic's `cache_control`", "LiteLLM and OpenRouter clients", QuirkTreatment.Repaired,
            "Hints on parts, messages and tools reach Claude. At most four are sent.", "RequestQuirkTests.CacheHints_OfChatParts_GoToClaude"),
        new("broken-arguments-in-history", "The arguments of an earlier tool call are no JSON object", "Anthropic, Gemini, chat templates of vLLM", QuirkTreatment.Repaired,
            "They are sent as `{\"invalid_arguments\": \"…\"}` in a translated request.", "RequestQuirkTests.BrokenArguments_OfAnEarlierCall_AreWrapped"),
        new("reasoning-sent-back", "The server needs the reasoning of earlier turns back to go on after tool calls", "DeepSeek, Moonshot", QuirkTreatment.Repaired,
            "It is sent as `reasoning_content`.", "RequestQuirkTests.Reasoning_OfDeepSeek_GoesBackAsReasoningContent"),
        new("seed", "The server takes no `seed`", "Anthropic", QuirkTreatment.Dropped,
            "The field is left out.", "RequestQuirkTests.Seed_ForClaude_IsLeftOutWithAWarning"),
        new("errors-in-their-own-words", "Servers report the same error with different statuses, codes and words, behind status 200 or as an event of a stream", "many", QuirkTreatment.Repaired,
            "One classifier reads all of them: an overflow of the context window is always `context_length_exceeded`, and an error of the provider's key is never retryable.", "ProviderErrorTests.Error_OfAProvider_HasOneCodeOnEveryPath"),
    ];
}
