using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.Http;
using Fairlead.Providers.OpenAi;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.OpenAi;

/// <summary>Providers of kind openai for tests.</summary>
internal static class OpenAiUpstream
{
    /// <summary>A provider that calls <paramref name="upstream"/>.</summary>
    public static OpenAiProvider Provider(this FakeUpstream upstream, TimeProvider? time = null, Func<ProviderConfig, ProviderConfig>? change = null)
    {
        var config = new ProviderConfig { Kind = "openai", BaseUrl = upstream.Url + "/v1", ApiKey = "sk-upstream" };
        return new OpenAiProvider("up", change?.Invoke(config) ?? config, Clients(time));
    }

    public static UpstreamClientFactory Clients(TimeProvider? time = null) => new(time ?? TimeProvider.System, NullLoggerFactory.Instance);
}
