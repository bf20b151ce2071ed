using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Security;
using Fairlead.Streaming;

namespace Fairlead.Dialects;

/// <summary>
/// Reads the request's <c>fairlead</c> object, which is the same in every dialect of another vendor. It is never sent to a provider.
/// </summary>
internal static class ExtensionReader
{
    /// <summary>Shortest deadline that a request may set, in milliseconds.</summary>
    public const long MinDeadlineMs = 1;

    /// <summary>Longest deadline that a request may set, in milliseconds: one day.</summary>
    public const long MaxDeadlineMs = 86_400_000;

    private const int MaxTaskLength = 64;

    private static readonly string[] Classes = [.. CallClasses.All];

    private static readonly string[] Known = ["class", "deadline_ms", "on_disconnect", "task", "batch_tokens", "batch_delay_ms", "webhook",
        "structured", "budget_usd", "route", "rescue", "cache"];

    /// <summary>Reads the value at the position of <paramref name="json"/>; null counts as an empty object.</summary>
    /// <exception cref="GatewayErrorException">A field is unknown, not available or has a wrong value.</exception>
    /// <param name="json">Positioned at the value.</param>
    /// <param name="showsValues">Whether the dialect can return the values of a structured output.</param>
    public static CallExtension Read(ref BodyCursor json, bool showsValues = false)
    {
        if (!json.Object("fairlead")) return CallExtension.None;
        var extension = new CallExtension();
        var seen = 0;
        while (json.NextMember())
        {
            var field = -1;
            for (var i = 0; i < Known.Length && field < 0; i++)
            {
                if (json.Is(Bytes(i))) field = i;
            }
            if (field < 0) throw Unknown(json.GetString());
            var path = new FieldPath("fairlead", Middle: Known[field]);
            if ((seen & (1 << field)) != 0) throw RequestErrors.Duplicate(path);
            seen |= 1 << field;
            json.Next();
            switch (field)
            {
                case 0:
                    extension = extension with { Class = json.Word(path, Classes) };
                    break;
                case 1:
                    if (json.Integer(path, MinDeadlineMs, MaxDeadlineMs) is { } ms)
                    {
                        extension = extension with { Deadline = TimeSpan.FromMilliseconds(ms) };
                    }
                    break;
                case 2:
                    var word = json.Word(path, ["cancel", "continue"]);
                    extension = extension with { OnDisconnect = word == "continue" ? OnDisconnect.Continue : OnDisconnect.Cancel };
                    break;
                case 3:
                    if (!json.Text(path, MaxTaskLength)) break;
                    if (json.Value.IsEmpty) throw RequestErrors.EmptyString(path);
                    extension = extension with { Task = json.GetString() };
                    break;
                case 4:
                    if (json.Integer(path, 1, BatchSettings.MaxTokens) is { } tokens)
                    {
                        extension = extension with { BatchTokens = (int)tokens };
                    }
                    break;
                case 5:
                    if (json.Integer(path, 0, BatchSettings.MaxDelayMs) is { } delay)
                    {
                        extension = extension with { BatchDelay = TimeSpan.FromMilliseconds(delay) };
                    }
                    break;
                case 6:
                    if (json.Object(path)) extension = extension with { Webhook = ReadWebhook(ref json) };
                    break;
                case 7:
                    if (json.Word(path, ["off", "partial"]) != "partial") break;
                    if (!showsValues)
                    {
                        throw new GatewayErrorException(GatewayError.Unsupported(path.ToString(),
                            "Values of a structured output are available from POST /v2/generations, /v1/chat/completions and "
                                + "/v1/responses. Leave out 'fairlead.structured'."));
                    }
                    extension = extension with { Structured = true };
                    break;
                case 8:
                    extension = extension with { BudgetUsd = json.Money(path) };
                    break;
                case 9:
                    extension = extension with { Route = RouteReader.Read(ref json) };
                    break;
                case 10:
                    extension = extension with { Rescue = RescueModes.Parse(json.Word(path, RescueModes.Names)) };
                    break;
                case 11:
                    extension = extension with { Cache = CacheWishReader.Read(ref json) };
                    break;
            }
        }
        return extension;
    }

    private static ReadOnlySpan<byte> Bytes(int field) => field switch
    {
        0 => "class"u8,
        1 => "deadline_ms"u8,
        2 => "on_disconnect"u8,
        3 => "task"u8,
        4 => "batch_tokens"u8,
        5 => "batch_delay_ms"u8,
        6 => "webhook"u8,
        7 => "structured"u8,
        8 => "budget_usd"u8,
        9 => "route"u8,
        10 => "rescue"u8,
        _ => "cache"u8,
    };

    // Whether the address is allowed depends on the configuration, which is checked later.
    private static string ReadWebhook(ref BodyCursor json)
    {
        var path = new FieldPath("fairlead", Middle: "webhook", Tail: "url");
        string? url = null;
        while (json.NextMember())
        {
            if (!json.Is("url"u8))
            {
                var name = json.GetString();
                var shown = name.Length > 64 ? name[..64] : name;
                throw RequestErrors.Invalid($"fairlead.webhook.{shown}",
                    $"The field 'fairlead.webhook.{shown}' is unknown; accepted is 'url'.", "unknown_parameter");
            }
            if (url is not null) throw RequestErrors.Duplicate(path);
            json.Next();
            if (!json.Text(path, OutboundUrl.MaxLength)) continue;
            if (json.Value.IsEmpty) throw RequestErrors.EmptyString(path);
            url = json.GetString();
        }
        return url ?? throw RequestErrors.Missing(path);
    }

    private static GatewayErrorException Unknown(string name)
    {
        var shown = name.Length > 64 ? name[..64] : name;
        return RequestErrors.Invalid($"fairlead.{shown}",
            $"The field 'fairlead.{shown}' is unknown; accepted are {string.Join(", ", Known.Select(k => $"'{k}'"))}.",
            "unknown_parameter");
    }
}
