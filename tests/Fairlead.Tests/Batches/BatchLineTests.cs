using System.Text;
using Fairlead.Batches;

namespace Fairlead.Tests.Batches;

public sealed class BatchLineTests
{
    private const string Endpoint = "/v1/chat/completions";

    [Fact]
    public void Read_FieldsInAnyOrder_ReturnsBodyUnchanged()
    {
        const string line = """ { "body" : {"messages":[{"model":"not this"}], "model":"m" } ,"url":"/v1/chat/completions","custom_id":"a\u00e4","method":"POST"} """;
        var (read, fault) = BatchLine.Read(Encoding.UTF8.GetBytes(line), Endpoint, 1);
        Assert.Null(fault);
        Assert.Equal("aä", read.CustomId);
        Assert.Equal("m", read.Model);
        Assert.Equal("""{"messages":[{"model":"not this"}], "model":"m" }""", Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(line).AsSpan(read.BodyStart, read.BodyLength)));
    }

    [Theory]
    [InlineData("nothing", "invalid_json_line", null)]
    [InlineData("[]", "invalid_json_line", null)]
    [InlineData("{}", "missing_required_parameter", "custom_id")]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions"}""", "missing_required_parameter", "body")]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}""", "invalid_json_line", null)]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}} more""", "invalid_json_line", null)]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":[]}""", "invalid_type", "body")]
    [InlineData("""{"custom_id":1,"method":"POST","url":"/v1/chat/completions","body":{}}""", "invalid_type", "custom_id")]
    [InlineData("""{"custom_id":"","method":"POST","url":"/v1/chat/completions","body":{}}""", "invalid_value", "custom_id")]
    [InlineData("""{"custom_id":"a","method":"GET","url":"/v1/chat/completions","body":{}}""", "invalid_method", "method")]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}""", "invalid_url", "url")]
    [InlineData("""{"custom_id":"a","custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{}}""", "invalid_json_line", "custom_id")]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{},"more":1}""", "unknown_parameter", null)]
    [InlineData("""{"custom_id":"\ud800","method":"POST","url":"/v1/chat/completions","body":{}}""", "invalid_json_line", null)]
    public void Read_InvalidLine_ReturnsCodeParameterAndLineNumber(string line, string code, string? param)
    {
        var fault = BatchLine.Read(Encoding.UTF8.GetBytes(line), Endpoint, 7).Fault!;
        Assert.Equal((code, param, 7), (fault.Code, fault.Param, fault.Line));
    }
}
