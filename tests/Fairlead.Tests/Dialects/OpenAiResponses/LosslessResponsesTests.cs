using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects.OpenAiResponses;

public sealed class LosslessResponsesTests
{
    private static readonly Dialect Dialect = ResponsesDialect.Create();

    [Theory]
    [InlineData("\"input\":\"hi\"", true)]
    [InlineData("\"input\":\"hi\",\"store\":false,\"stream\":true,\"temperature\":0,\"user\":\"u\",\"truncation\":\"disabled\",\"include\":[]", true)]
    [InlineData("\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"hi\"}]}]", true)]
    [InlineData("\"input\":[{\"role\":\"assistant\",\"id\":\"msg_1\",\"content\":[{\"type\":\"output_text\",\"text\":\"hi\",\"annotations\":[]}]}]", true)]
    [InlineData("\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"1\"}]", true)]
    [InlineData("\"input\":\"hi\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"anything\":[]}}]", true)]
    [InlineData("\"input\":\"hi\",\"text\":{\"format\":{\"type\":\"json_object\"}}", true)]
    [InlineData("\"input\":\"hi\",\"newer\":1", false)]
    [InlineData("\"input\":\"hi\",\"truncation\":\"auto\"", false)]
    [InlineData("\"input\":\"hi\",\"include\":[\"message.output_text.logprobs\"]", false)]
    [InlineData("\"input\":\"hi\",\"text\":{\"verbosity\":\"low\"}", false)]
    [InlineData("\"input\":\"hi\",\"service_tier\":\"flex\"", false)]
    [InlineData("\"input\":\"hi\",\"reasoning\":{\"effort\":\"low\"}", false)]
    [InlineData("\"input\":\"hi\",\"tools\":[{\"type\":\"web_search\"}]", false)]
    [InlineData("\"input\":\"hi\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"newer\":1}]", false)]
    [InlineData("\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,AA==\"}]}]", false)]
    [InlineData("\"input\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"hi\",\"annotations\":[{\"type\":\"url_citation\"}]}]}]", false)]
    [InlineData("\"input\":[{\"type\":\"reasoning\",\"summary\":[]},{\"role\":\"user\",\"content\":\"hi\"}]", false)]
    [InlineData("\"input\":[{\"role\":\"user\",\"content\":\"hi\",\"phase\":\"final_answer\"}]", false)]
    public void Allows_Request_OnlyIfCanonicalFormExpressesIt(string members, bool allowed)
    {
        var call = Read("{\"model\":\"m\"," + members + "}", new CatalogueModel { Id = "m", OwnedBy = "test" });
        Assert.Equal(allowed, LosslessResponses.Allows(call));
    }

    [Fact]
    public void Allows_ReasoningModel_IsFalse()
    {
        var model = new CatalogueModel { Id = "m", OwnedBy = "test", Capabilities = new ModelCapabilities { Reasoning = true } };
        Assert.False(LosslessResponses.Allows(Read("""{"model":"m","input":"hi"}""", model)));
    }

    private static GatewayCall Read(string body, CatalogueModel model)
    {
        var call = DialectCalls.Of(Dialect, body);
        call.Model = model;
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        return call;
    }
}
