using Fairlead.Configuration;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>State of one pass over a request, in addition to the facts that it returns.</summary>
internal sealed class MessagesPass(RequestFacts facts, RequestBounds bounds, bool october2026)
{
    private const int MaxCacheBreakpoints = 4;
    private int _cacheBreakpoints;
    private long _mediaBytes;

    public RequestFacts Facts { get; } = facts;

    public RequestBounds Bounds { get; } = bounds;

    /// <summary>Whether the call uses version 2026-10-21.</summary>
    public bool IsOctober2026 { get; } = october2026;

    public ToolTurns Tools { get; } = new();

    /// <summary>Whether the last assistant turn calls tools without thinking that Anthropic signed.</summary>
    public bool EndsInUnsignedCalls { get; set; }

    public void CountCacheBreakpoint(FieldPath path)
    {
        if (++_cacheBreakpoints > MaxCacheBreakpoints)
        {
            throw RequestErrors.Value(path, $"a request may contain at most {MaxCacheBreakpoints} blocks with cache_control.");
        }
    }

    public void CountMedia(FieldPath path, int base64Bytes)
    {
        _mediaBytes += base64Bytes;
        Facts.InlineBytes += base64Bytes;
        if (_mediaBytes > Bounds.MaxMediaBytes)
        {
            throw RequestErrors.TooLarge(path,
                $"The inline media of a request may have at most {Bounds.MaxMediaBytes} bytes of base64; refer to large files by URL.");
        }
    }

    /// <summary>Records a feature; its path is built only the first time.</summary>
    public void Note(RequestFeatures feature, FieldPath path)
    {
        if (!Facts.Has(feature)) Facts.Note(feature, path.ToString());
    }
}
