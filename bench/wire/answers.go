package main

import "fmt"

// What vLLM sends, in its shapes and of about its sizes.
const (
	prefillAnswer = `{"id":"cmpl-0","object":"text_completion","created":1764000000,"model":"bench","choices":[{"index":0,"text":" a","logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null}],"service_tier":null,"system_fingerprint":null,"usage":{"prompt_tokens":250,"total_tokens":251,"completion_tokens":1,"prompt_tokens_details":null},"kv_transfer_params":{"do_remote_prefill":true,"do_remote_decode":false,"remote_block_ids":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],"remote_engine_id":"3f0c8b8e-%s","remote_request_id":"cmpl-%d","remote_host":"127.0.0.1","remote_port":20097,"tp_size":1,"remote_num_tokens":250}}`
	decodeBody    = `{"id":"cmpl-0","object":"text_completion","created":1764000000,"model":"bench","choices":[{"index":0,"text":" an answer of sixteen tokens that says nothing at all but has the length of one that does, and ends","logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null}],"service_tier":null,"system_fingerprint":null,"usage":{"prompt_tokens":250,"total_tokens":266,"completion_tokens":16,"prompt_tokens_details":null},"kv_transfer_params":null}`
	tokenEvent    = `data: {"id":"cmpl-0a1b2c3d4e5f60718293a4b5c6d7e8f9","object":"text_completion","created":1764000000,"model":"bench","choices":[{"index":0,"text":" token","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}],"usage":null}` + "\n\n"
	modelsBody    = `{"object":"list","data":[{"id":"bench","object":"model","owned_by":"vllm"}]}`
	commonHead    = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: uvicorn\r\n"
	streamHeaders = "content-type: text/event-stream; charset=utf-8\r\nx-request-id: 0\r\ntransfer-encoding: chunked\r\n\r\n"
)

var (
	modelsAnswer = []byte(modelsBody)
	decodeAnswer = []byte(decodeBody)
	decodeHead   = headOf(decodeAnswer)
	streamHead   = []byte(commonHead + streamHeaders)
	tokenChunk   = chunkOf(tokenEvent)
	lastChunks   = append(chunkOf("data: [DONE]\n\n"), "0\r\n\r\n"...)
)

func headOf(body []byte) []byte {
	return fmt.Appendf(nil, "%scontent-length: %d\r\ncontent-type: application/json\r\n\r\n", commonHead, len(body))
}

func chunkOf(text string) []byte {
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(text), text)
}
