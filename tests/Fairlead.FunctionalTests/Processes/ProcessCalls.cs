using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Processes;

internal static class ProcessCalls
{
    /// <summary>Sends a chat call with a key and returns as soon as the headers are there.</summary>
    public static Task<HttpResponseMessage> PostAsync(ServerProcess server, string key, string body, string path = "/v1/chat/completions") =>
        server.Client.PostJsonAsync(server.Address + path, body, [("Authorization", $"Bearer {key}")]);
}
