using System.Globalization;
using Fairlead.Dialects;
using Fairlead.Security;
using Fairlead.Streaming;

namespace Fairlead.Pipeline;

/// <summary>
/// The hosts of the URLs that the provider is asked to fetch (images, files, audio, video), each once, with the field that named it first.
/// </summary>
internal sealed class RequestHosts
{
    /// <summary>Different hosts in one request: each may need a name lookup.</summary>
    public const int Maximum = 100;

    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);
    private readonly List<(string Host, string Path)> _hosts = [];

    public IReadOnlyList<(string Host, string Path)> All => _hosts;

    /// <summary>Records a string of the body if it is a URL of HTTP.</summary>
    /// <param name="facts">The facts of the request.</param>
    /// <param name="text">The string, as it is in the body.</param>
    /// <param name="isEscaped">Whether it has JSON escapes.</param>
    /// <param name="path">Its field.</param>
    /// <exception cref="Errors.GatewayErrorException">The host is ambiguous, or there are too many hosts.</exception>
    public static void Note(RequestFacts facts, ReadOnlySpan<byte> text, bool isEscaped, FieldPath path)
    {
        if (text.Length < 7) return;
        Span<byte> prefix = stackalloc byte[UrlHost.PrefixLength];
        var url = isEscaped ? JsonEscapes.DecodePrefix(text, prefix) : text[..Math.Min(prefix.Length, text.Length)];
        if (UrlHost.IsHttp(url)) (facts.Hosts ??= new RequestHosts()).Add(url, path);
    }

    /// <param name="url">The URL, or its first <see cref="UrlHost.PrefixLength"/> bytes, without JSON escapes.</param>
    /// <param name="path">Its field.</param>
    /// <exception cref="Errors.GatewayErrorException">The host is ambiguous, or there are too many hosts.</exception>
    public void Add(ReadOnlySpan<byte> url, FieldPath path)
    {
        var (host, fault) = UrlHost.Read(url);
        if (host is null) throw RequestErrors.Value(path, fault!);
        if (!_seen.Add(host)) return;
        if (_seen.Count > Maximum)
        {
            throw RequestErrors.Value(path, string.Create(CultureInfo.InvariantCulture,
                $"the addresses of one request may name at most {Maximum} different hosts; send the bytes instead."));
        }
        _hosts.Add((host, path.ToString()));
    }
}
