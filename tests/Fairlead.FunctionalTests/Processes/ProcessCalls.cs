using System.Net.Http.Headers;
using System.Text;

namespace Fairlead.FunctionalTests.Processes;

internal static class ProcessCalls
{
    /// <summary>Sends a chat call and returns as soon as headers are there.</summary>
    public static async Task<HttpResponseMessage> PostAsync(ServerProcess server, string key, string body, string path = "/v1/chat/completions")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, server.Address + path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
    }
}
