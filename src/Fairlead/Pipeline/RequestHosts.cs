using System.Globalization;
using Fairlead.Dialects;
using Fairlead.Security;

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
