namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Request fields of OpenAI's generation endpoints that are read here. Others are forwarded unread.</summary>
internal enum OpenAiField
{
    Unknown = -1,
    Model,
    Messages,
    MaxCompletionTokens,
    MaxTokens,
    Temperature,
    TopP,
    FrequencyPenalty,
    PresencePenalty,
    N,
    Stop,
    Seed,
    Logprobs,
    TopLogprobs,
    LogitBias,
    Stream,
    StreamOptions,
    Tools,
    ToolChoice,
    ParallelToolCalls,
    ResponseFormat,
    ReasoningEffort,
    Verbosity,
    ServiceTier,
    Modalities,
    Audio,
    Prediction,
    Store,
    Metadata,
    PromptCacheKey,
    PromptCacheOptions,
    PromptCacheRetention,
    SafetyIdentifier,
    User,
    Moderation,
    WebSearchOptions,
    Functions,
    FunctionCall,
    Fairlead,
    Prompt,
    Suffix,
    Echo,
    BestOf,
}

internal static class OpenAiFields
{
    /// <summary>Enough for every known name.</summary>
    public const int MaxNameLength = 32;

    /// <summary>Selected by length first: two comparisons for a usual field instead of forty.</summary>
    public static OpenAiField Find(ReadOnlySpan<byte> name)
    {
        switch (name.Length)
        {
            case 1:
                return name[0] == (byte)'n' ? OpenAiField.N : OpenAiField.Unknown;
            case 4:
                if (name.SequenceEqual("stop"u8)) return OpenAiField.Stop;
                if (name.SequenceEqual("seed"u8)) return OpenAiField.Seed;
                if (name.SequenceEqual("user"u8)) return OpenAiField.User;
                if (name.SequenceEqual("echo"u8)) return OpenAiField.Echo;
                break;
            case 5:
                if (name.SequenceEqual("model"u8)) return OpenAiField.Model;
                if (name.SequenceEqual("tools"u8)) return OpenAiField.Tools;
                if (name.SequenceEqual("top_p"u8)) return OpenAiField.TopP;
                if (name.SequenceEqual("audio"u8)) return OpenAiField.Audio;
                if (name.SequenceEqual("store"u8)) return OpenAiField.Store;
                break;
            case 6:
                if (name.SequenceEqual("stream"u8)) return OpenAiField.Stream;
                if (name.SequenceEqual("prompt"u8)) return OpenAiField.Prompt;
                if (name.SequenceEqual("suffix"u8)) return OpenAiField.Suffix;
                break;
            case 7:
                if (name.SequenceEqual("best_of"u8)) return OpenAiField.BestOf;
                break;
            case 8:
                if (name.SequenceEqual("messages"u8)) return OpenAiField.Messages;
                if (name.SequenceEqual("logprobs"u8)) return OpenAiField.Logprobs;
                if (name.SequenceEqual("metadata"u8)) return OpenAiField.Metadata;
                if (name.SequenceEqual("fairlead"u8)) return OpenAiField.Fairlead;
                break;
            case 9:
                if (name.SequenceEqual("verbosity"u8)) return OpenAiField.Verbosity;
                if (name.SequenceEqual("functions"u8)) return OpenAiField.Functions;
                break;
            case 10:
                if (name.SequenceEqual("max_tokens"u8)) return OpenAiField.MaxTokens;
                if (name.SequenceEqual("logit_bias"u8)) return OpenAiField.LogitBias;
                if (name.SequenceEqual("modalities"u8)) return OpenAiField.Modalities;
                if (name.SequenceEqual("prediction"u8)) return OpenAiField.Prediction;
                if (name.SequenceEqual("moderation"u8)) return OpenAiField.Moderation;
                break;
            case 11:
                if (name.SequenceEqual("temperature"u8)) return OpenAiField.Temperature;
                if (name.SequenceEqual("tool_choice"u8)) return OpenAiField.ToolChoice;
                break;
            case 12:
                if (name.SequenceEqual("top_logprobs"u8)) return OpenAiField.TopLogprobs;
                if (name.SequenceEqual("service_tier"u8)) return OpenAiField.ServiceTier;
                break;
            case 13:
                if (name.SequenceEqual("function_call"u8)) return OpenAiField.FunctionCall;
                break;
            case 14:
                if (name.SequenceEqual("stream_options"u8)) return OpenAiField.StreamOptions;
                break;
            case 15:
                if (name.SequenceEqual("response_format"u8)) return OpenAiField.ResponseFormat;
                break;
            case 16:
                if (name.SequenceEqual("presence_penalty"u8)) return OpenAiField.PresencePenalty;
                if (name.SequenceEqual("reasoning_effort"u8)) return OpenAiField.ReasoningEffort;
                if (name.SequenceEqual("prompt_cache_key"u8)) return OpenAiField.PromptCacheKey;
                break;
            case 17:
                if (name.SequenceEqual("frequency_penalty"u8)) return OpenAiField.FrequencyPenalty;
                if (name.SequenceEqual("safety_identifier"u8)) return OpenAiField.SafetyIdentifier;
                break;
            case 18:
                if (name.SequenceEqual("web_search_options"u8)) return OpenAiField.WebSearchOptions;
                break;
            case 19:
                if (name.SequenceEqual("parallel_tool_calls"u8)) return OpenAiField.ParallelToolCalls;
                break;
            case 20:
                if (name.SequenceEqual("prompt_cache_options"u8)) return OpenAiField.PromptCacheOptions;
                break;
            case 21:
                if (name.SequenceEqual("max_completion_tokens"u8)) return OpenAiField.MaxCompletionTokens;
                break;
            case 22:
                if (name.SequenceEqual("prompt_cache_retention"u8)) return OpenAiField.PromptCacheRetention;
                break;
        }
        return OpenAiField.Unknown;
    }
}
